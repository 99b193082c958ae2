// Unpacked images in the state tree: which are there, who makes one just now, who uses one. What is in them is made by
// a worker of an own uid range and never looked at here.
//
//   STORE/<key>/ready              what its maker had to say; written before the directory got this name
//   STORE/<key>/tree/              the root file system; nothing writes to it any more
//   STORE/<key>.making/            the same, half made
//   STORE/<key>[.<n>].removed/     on its way out
//
// Locks on these directories (flock(2)) end with whoever holds them: a maker's is exclusive, a user's shared. Whoever
// removes one takes it exclusively first, so that nothing goes that is in use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

// 64 hexadecimal digits of the manifest's digest, and "-x" where extended attributes were kept.
bool is_image_key(std::string_view text);

struct UnpackedImage {
  std::string tree;   // a host path, for plans
  std::string facts;  // as finish() was given
};

class ImageStore {
 public:
  // The image, if it is there; it is ours to use until we end.
  Result<std::optional<UnpackedImage>> find(const std::string& store, const std::string& key);
  // A directory to unpack it in, empty and owned by `owner`. EBUSY while another makes it, EEXIST when that has just
  // been done. What a killed forerunner left is removed.
  Result<std::string> begin(const std::string& store, const std::string& key, std::uint32_t owner);
  // It is complete and on the disk: from now on it is found.
  Result<UnpackedImage> finish(const std::string& store, const std::string& key, const std::string& facts);
  // It failed: nothing of it stays.
  Result<> abandon(const std::string& store, const std::string& key);
  // Nobody is left who could finish what is being made.
  void abandon_all();

 private:
  std::map<std::string, Fd> making_, used_;  // by path of the image
};

// For whoever cleans up: the directory with an exclusive lock, or EBUSY when somebody makes or uses it.
Result<Fd> lock_unused_image(const std::string& directory);

}  // namespace bulkhead
