// The root file system that an image's layers make, one on the other, in a directory of our own. Everything is resolved
// by the kernel inside that directory (openat2(2) RESOLVE_IN_ROOT): links among an entry's parents lead where they
// would inside, never out; an entry's own name is never followed. OCI image specification, layer.md.
//
// What is made: directories, regular files, symbolic and hard links. Not made: device nodes, pipes and sockets (through
// which sandboxes that share the tree could talk). Without setuid and setgid bits, owners, flags and ACLs.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <map>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"
#include "supervisor/core/workspaces/worker_protocol.h"
#include "supervisor/worker/layer_name.h"
#include "supervisor/worker/layer_stream.h"

namespace bulkhead {

class ImageTree {
 public:
  struct Bounds {
    std::uint64_t bytes = 0;    // of all files of all layers, with the attributes that are kept
    std::uint64_t entries = 0;  // of all layers
  };
  // `directory` is empty and ours.
  static Result<ImageTree> open(const std::string& directory, Bounds bounds, ImageAttributes attributes);

  // One layer on what is there: its whiteouts first, wherever they stand in it, for they concern what is below it only.
  Result<> add_layer(const ImageLayout& layout, const ImageLayer& layer);
  // Modes and times of directories, which stay writable until then; and all of it onto the disk.
  Result<> finish();

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t entries() const { return entries_; }
  std::uint64_t left_out() const { return left_out_; }  // device nodes, pipes, sockets

 private:
  struct DirectoryEnd {
    mode_t mode = 0755;
    timespec time{};
  };
  ImageTree(Fd root, std::string root_path, Bounds bounds, ImageAttributes attributes)
      : root_(std::move(root)), root_path_(std::move(root_path)), bounds_(bounds), attributes_(attributes) {}

  Result<> apply_whiteouts(LayerStream& layer);
  Result<> white_out(const LayerName& name);
  Result<> add_entries(LayerStream& layer);
  Result<> add(LayerStream& layer, archive_entry* entry);
  Result<> add_directory(int parent, const LayerName& name, archive_entry* entry);
  Result<> add_file(int parent, const LayerName& name, LayerStream& layer, archive_entry* entry);
  Result<> add_hard_link(int parent, const LayerName& name, const std::string& target);
  Result<> write_data(int file, const LayerName& name, LayerStream& layer, std::uint64_t size);
  Result<> keep_attributes(int file, const LayerName& name, archive_entry* entry);

  // The directory of `name`, made where it is missing. Valid until the next call.
  Result<int> parent_of(const LayerName& name);
  Result<Fd> make_parents(const LayerName& name);
  Result<> count(const LayerName& name);
  Result<> count_bytes(const LayerName& name, std::uint64_t more);  // before they are written
  Result<> make_room(int parent, const LayerName& name);            // removes what stands there
  // Where the entry `leaf` of a directory stands, from the root on and through no link: of all its names the one.
  Result<std::string> place_of(int directory, const std::string& leaf) const;

  Fd root_;
  std::string root_path_;  // as the kernel calls it
  Bounds bounds_;
  ImageAttributes attributes_;
  std::uint64_t bytes_ = 0, entries_ = 0, left_out_ = 0;
  bool empty_ = true;                         // no layer yet: nothing for whiteouts to hide
  std::map<std::string, DirectoryEnd> ends_;  // by place_of()
  std::string parent_path_;
  Fd parent_;
};

}  // namespace bulkhead
