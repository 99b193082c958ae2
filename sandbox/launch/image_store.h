// Unpacked images in the state tree: which are there, who makes one just now, who uses one. What is in them is made by
// a worker of an own uid range and never looked at here.
//
//   STORE/<key>/ready              what its maker had to say; written before the directory got this name
//   STORE/<key>/tree/              the root file system; nothing writes to it any more
//   STORE/<key>.making/            the same, half made
//   STORE/<key>.<n>.removed/       half made, on its way out: emptied by a worker of its maker's range
//   STORE/<key>[.making].removed/  on its way out, by whoever cleans up
//
// Every call takes a handful of system calls however much an image holds: others wait for the launcher meanwhile.
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

// A directory to unpack an image in.
struct BegunImage {
  std::string tree;  // empty, of the owner
  std::string left;  // what a killed forerunner of the same owner had made, as abandon() returns it; or empty
};

class ImageStore {
 public:
  // The image, if it is there; it is ours to use until we end.
  Result<std::optional<UnpackedImage>> find(const std::string& store, const std::string& key);
  // EBUSY while another makes it, EEXIST when that has just been done. What a killed forerunner of another owner had
  // made is put away for whoever cleans up: its range may have been given to somebody.
  Result<BegunImage> begin(const std::string& store, const std::string& key, std::uint32_t owner);
  // It is complete and on the disk: from now on it is found. However this ends, nobody makes it any more: after a
  // failure abandon() it. EBUSY: somebody has removed it at once.
  Result<UnpackedImage> finish(const std::string& store, const std::string& key, const std::string& facts);
  // It failed, and nothing uses the directory any more. What is returned (empty: nothing) has another name now; a
  // worker of the owner's range empties it, and then discard() it.
  Result<std::string> abandon(const std::string& store, const std::string& key);
  // What begin() or abandon() returned goes. It stays, for whoever cleans up, when something is still in it.
  Result<> discard(const std::string& tree);
  // Nobody is left who could go on with what is being made or removed.
  void abandon_all();

 private:
  std::map<std::string, Fd> making_, used_;  // by path of the image
  std::map<std::string, Fd> removing_;       // by path of the tree
};

// For whoever cleans up: the directory with an exclusive lock, or EBUSY when somebody makes or uses it.
Result<Fd> lock_unused_image(const std::string& directory);

}  // namespace bulkhead
