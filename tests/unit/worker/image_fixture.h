// OCI image layouts made by hand, good and bad, and the worker's own binary run on them.
#pragma once

#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "supervisor/core/images/images.h"
#include "supervisor/image/layout.h"
#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {

struct TarEntry {
  std::string name;
  mode_t type = S_IFREG;
  mode_t mode = 0644;
  std::string content;    // of a file
  std::string link;       // target of a symbolic link
  std::string hard_link;  // then nothing but the name counts
  std::map<std::string, std::string> attributes;
};

std::string tar(const std::vector<TarEntry>& entries);
std::string compressed(const std::string& bytes, LayerCompression compression);
std::string digest_of(const std::string& bytes);

struct TestLayer {
  std::string archive;
  LayerCompression compression = LayerCompression::gzip;
  // What is written instead of the truth.
  std::string media_type, diff_id, blob_digest;
  std::optional<std::string> blob;
  std::optional<std::uint64_t> size;
};

class ImageTest : public WorkerTest {
 protected:
  // An image in the layout `layout`, whose index.json lists those that add_image() has made; the manifest's digest.
  std::string add_image(const std::vector<TestLayer>& layers, const std::string& reference = "",
                        nlohmann::json config = {}, nlohmann::json descriptor = {});
  nlohmann::json put(const std::string& content, const std::string& media_type);
  void write_index();
  std::string image_of(const std::vector<TarEntry>& entries) { return add_image({{.archive = tar(entries)}}); }

  Result<std::string> choose(const std::string& reference = "", const std::string& digest = "");
  Result<UnpackImageFacts> unpack(const std::string& digest);
  // Of a layout with this one image.
  Result<UnpackImageFacts> unpack_layers(const std::vector<TestLayer>& layers) { return unpack(add_image(layers)); }
  Result<UnpackImageFacts> unpack_entries(const std::vector<TarEntry>& entries) { return unpack(image_of(entries)); }

  struct stat status_of_entry(std::string_view name) const;  // below the unpacked tree; st_mode 0: not there
  std::string tree(std::string_view name) const { return "tree/" + std::string(name); }

  nlohmann::json index_ = {{"schemaVersion", 2}, {"manifests", nlohmann::json::array()}};
  UnpackImageRequest bounds_{.max_bytes = 1 << 20, .max_entries = 100};
};

}  // namespace bulkhead
