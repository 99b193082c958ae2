// A policy's image on its way to a root: what is asked of the worker, under which key the result is kept, and what a
// sandbox gets of it. Pure but for uname(2); `bulkhead sandbox run` and bulkheadd carry it out, each in its own way:
//
//   digest pinned, or else select-image ─► find ─ there ─────────────────────────────────► accept_image()
//                                            └ not there ─► begin ─► unpack-image ─► finish ┘
//                                                                       └ failed ─► abandon ─► remove-tree ─► discard
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sandbox/launch/image_store.h"
#include "sandbox/spec/spec.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {

// What a sandbox gets of an image.
struct PreparedImage {
  std::string tree;    // a host path, for plans
  std::string digest;  // of the manifest
  std::string key;     // image_key()
  std::map<std::string, std::string> environment;
};

std::string host_architecture();  // Go's name of it

// In ImageStore, of a manifest's digest.
std::string image_key(const ImageRoot& root, const std::string& digest);

SelectImageRequest select_request(const ImageRoot& root);
UnpackImageRequest unpack_request(const ImageRoot& root, const std::string& digest);
// What both need mounted, as the worker's side knows it; `tree` (empty: none) is the directory to unpack in.
std::vector<MountSpec> image_worker_mounts(const ImageRoot& root, const std::string& tree);

// What RemoveTreeRequest of a half-made `tree` needs mounted, at worker_place::to.
std::vector<MountSpec> image_removal_mounts(const std::string& tree);

// What of an image's layers is not in its tree, for who unpacked it; empty: all is.
std::string left_out_text(const UnpackImageFacts& facts);

// An error of the worker, with the layout where the caller knows it.
Error of_layout(Error error, const ImageRoot& root);

// Refuses an image that another policy unpacked and that is larger than this one takes, and one that lacks a variable
// that this one names.
Result<PreparedImage> accept_image(const ImageRoot& root, const std::string& digest, const UnpackedImage& image);

// `environment` of a command, with the image's variables over the policy's.
std::map<std::string, std::string> with_image(std::map<std::string, std::string> environment,
                                              const PreparedImage& image);

}  // namespace bulkhead
