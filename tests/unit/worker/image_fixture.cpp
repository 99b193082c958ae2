#include "tests/unit/worker/image_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/sysmacros.h>

#include <clocale>

#include "supervisor/image/digest.h"

namespace bulkhead {
namespace {

constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";

la_ssize_t append(archive*, void* out, const void* bytes, std::size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

std::string type_of(LayerCompression compression) {
  const std::string plain = "application/vnd.oci.image.layer.v1.tar";
  return compression == LayerCompression::none   ? plain
         : compression == LayerCompression::gzip ? plain + "+gzip"
                                                 : plain + "+zstd";
}

}  // namespace

std::string tar(const std::vector<TarEntry>& entries) {
  std::setlocale(LC_CTYPE, "C.UTF-8");  // else names beyond ASCII cannot be written
  std::string out;
  archive* writer = archive_write_new();
  archive_write_set_format_pax(writer);
  archive_write_set_bytes_in_last_block(writer, 1);
  EXPECT_EQ(archive_write_open(writer, &out, nullptr, append, nullptr), ARCHIVE_OK);
  for (const TarEntry& entry : entries) {
    archive_entry* header = archive_entry_new();
    archive_entry_set_pathname(header, entry.name.c_str());
    archive_entry_set_filetype(header, entry.type);
    archive_entry_set_perm(header, entry.mode);
    archive_entry_set_mtime(header, 1'600'000'000, 0);
    if (!entry.link.empty()) archive_entry_set_symlink(header, entry.link.c_str());
    if (!entry.hard_link.empty()) archive_entry_set_hardlink(header, entry.hard_link.c_str());
    if (entry.type == S_IFCHR) archive_entry_set_rdev(header, makedev(1, 3));
    for (const auto& [name, value] : entry.attributes)
      archive_entry_xattr_add_entry(header, name.c_str(), value.data(), value.size());
    const std::string& content = entry.content;
    if (entry.type == S_IFREG && entry.hard_link.empty())
      archive_entry_set_size(header, static_cast<la_int64_t>(content.size()));
    EXPECT_EQ(archive_write_header(writer, header), ARCHIVE_OK) << entry.name << archive_error_string(writer);
    if (entry.type == S_IFREG && entry.hard_link.empty() && !content.empty()) {
      EXPECT_EQ(archive_write_data(writer, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    }
    archive_entry_free(header);
  }
  EXPECT_EQ(archive_write_close(writer), ARCHIVE_OK);
  archive_write_free(writer);
  return out;
}

std::string compressed(const std::string& bytes, LayerCompression compression) {
  if (compression == LayerCompression::none) return bytes;
  std::string out;
  archive* writer = archive_write_new();
  archive_write_set_format_raw(writer);
  compression == LayerCompression::gzip ? archive_write_add_filter_gzip(writer) : archive_write_add_filter_zstd(writer);
  archive_write_set_bytes_per_block(writer, 0);
  EXPECT_EQ(archive_write_open(writer, &out, nullptr, append, nullptr), ARCHIVE_OK);
  archive_entry* header = archive_entry_new();
  archive_entry_set_filetype(header, S_IFREG);
  archive_entry_set_pathname(header, "data");
  EXPECT_EQ(archive_write_header(writer, header), ARCHIVE_OK);
  EXPECT_EQ(archive_write_data(writer, bytes.data(), bytes.size()), static_cast<la_ssize_t>(bytes.size()));
  archive_entry_free(header);
  EXPECT_EQ(archive_write_close(writer), ARCHIVE_OK);
  archive_write_free(writer);
  return out;
}

std::string digest_of(const std::string& bytes) {
  Sha256 sha;
  sha.add(bytes.data(), bytes.size());
  return sha.digest();
}

nlohmann::json ImageTest::put(const std::string& content, const std::string& media_type) {
  const std::string digest = digest_of(content);
  sh(".", "mkdir -p layout/blobs/sha256");
  write("layout/blobs/sha256/" + std::string(digest_hex(digest)), content);
  return {{"mediaType", media_type}, {"digest", digest}, {"size", content.size()}};
}

void ImageTest::write_index() {
  sh(".", "mkdir -p layout/blobs/sha256");
  write("layout/oci-layout", R"({"imageLayoutVersion": "1.0.0"})");
  write("layout/index.json", index_.dump());
}

std::string ImageTest::add_image(const std::vector<TestLayer>& layers, const std::string& reference,
                                 nlohmann::json config, nlohmann::json descriptor) {
  nlohmann::json manifest = {{"schemaVersion", 2}, {"mediaType", kManifest}, {"layers", nlohmann::json::array()}};
  nlohmann::json ids = nlohmann::json::array();
  for (const TestLayer& layer : layers) {
    const std::string blob = layer.blob.value_or(compressed(layer.archive, layer.compression));
    nlohmann::json row = put(blob, layer.media_type.empty() ? type_of(layer.compression) : layer.media_type);
    if (!layer.blob_digest.empty()) {
      write("layout/blobs/sha256/" + std::string(digest_hex(layer.blob_digest)), blob);
      row["digest"] = layer.blob_digest;
    }
    if (layer.size) row["size"] = *layer.size;
    manifest["layers"].push_back(row);
    ids.push_back(layer.diff_id.empty() ? digest_of(layer.archive) : layer.diff_id);
  }
  nlohmann::json configuration = {
      {"os", "linux"}, {"architecture", host_architecture()}, {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}};
  if (config.is_object()) configuration.merge_patch(config);
  manifest["config"] = put(configuration.dump(), "application/vnd.oci.image.config.v1+json");
  nlohmann::json row = put(manifest.dump(), kManifest);
  const std::string digest = row["digest"];
  if (!reference.empty()) row["annotations"] = {{"org.opencontainers.image.ref.name", reference}};
  if (descriptor.is_object()) row.merge_patch(descriptor);
  index_["manifests"].push_back(row);
  write_index();
  return digest;
}

Result<std::string> ImageTest::choose(const std::string& reference, const std::string& digest) {
  const auto facts = work(SelectImageRequest{
      .layout = path("layout"), .reference = reference, .digest = digest, .architecture = host_architecture()});
  if (!facts) return std::unexpected(facts.error());
  return facts->digest;
}

Result<UnpackImageFacts> ImageTest::unpack(const std::string& digest) {
  sh(".", "if [ -e tree ]; then chmod -R u+rwX tree; rm -rf tree; fi; mkdir tree");
  UnpackImageRequest request = bounds_;
  request.layout = path("layout");
  request.digest = digest;
  request.architecture = host_architecture();
  request.tree = path("tree");
  return work(request);
}

struct stat ImageTest::status_of_entry(std::string_view name) const {
  struct stat st{};
  if (::lstat(path("tree/" + std::string(name)).c_str(), &st) != 0) st = {};
  return st;
}

}  // namespace bulkhead
