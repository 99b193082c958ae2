// An OCI image layout on disk (OCI image specification: image-layout.md, descriptor.md, image-index.md, manifest.md,
// config.md). Nothing of it is believed: every document and every blob is checked against the size and the digest that
// named it before its content is used, down from `index.json`, which only its owner vouches for, or from a digest that
// a policy pins. No link is followed.
//
// Who uses this is bulkhead-worker in its sandbox, or `sandbox plan` as its caller: that is root for a login of root,
// who then reads index, manifest and configuration as root. No layer is opened there.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct ImagePlatform {
  std::string os;            // "linux"
  std::string architecture;  // "amd64": Go's names
  bool operator==(const ImagePlatform&) const = default;
};
// Of `machine`, as uname(2) calls it; unknown ones keep their name.
ImagePlatform platform_of(const std::string& machine);

struct Descriptor {
  std::string media_type;             // empty: not known
  std::string digest;                 // is_digest()
  std::optional<std::uint64_t> size;  // none: not known (a digest that a policy pins)
  std::optional<ImagePlatform> platform;
  std::string reference;  // org.opencontainers.image.ref.name
  bool operator==(const Descriptor&) const = default;
};

class ImageLayout {
 public:
  // `directory` itself may not be a link either: mounted for a worker, it would lead elsewhere there.
  static Result<ImageLayout> open(const std::string& directory);

  // What index.json lists.
  Result<std::vector<Descriptor>> index() const;
  // A checked blob, at its beginning.
  Result<Fd> blob(const Descriptor& descriptor) const;
  // A checked blob that is a JSON object of at most 4 MiB.
  Result<nlohmann::json> document(const Descriptor& descriptor, const char* what) const;

  const std::string& directory() const { return directory_; }

 private:
  ImageLayout(std::string directory, Fd fd) : directory_(std::move(directory)), fd_(std::move(fd)) {}
  Result<Fd> open_blob(const Descriptor& descriptor, std::uint64_t& size) const;  // its content is not checked
  Result<> check(const Descriptor& descriptor, const std::string& found) const;   // the digest of its content
  std::string directory_;
  Fd fd_;
};

// Which image of a layout; both empty: the only one.
struct ImageChoice {
  std::string reference;
  std::string digest;  // of a manifest or of an index of manifests
  ImagePlatform platform;
};
// The manifest that is meant. Where several could be the error lists them.
Result<Descriptor> choose_manifest(const ImageLayout& layout, const ImageChoice& choice);

enum class LayerCompression { none, gzip, zstd };

struct ImageLayer {
  Descriptor blob;
  LayerCompression compression = LayerCompression::none;
  std::string diff_id;  // digest of the uncompressed archive
};

struct ImageManifest {
  std::vector<ImageLayer> layers;        // lowest first
  std::vector<std::string> environment;  // "NAME=value", as the image's configuration has it
};
Result<ImageManifest> read_manifest(const ImageLayout& layout, const Descriptor& manifest,
                                    const ImagePlatform& platform);

}  // namespace bulkhead
