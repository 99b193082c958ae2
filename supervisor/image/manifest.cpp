// From a manifest and its configuration to layers.
#include <array>
#include <nlohmann/json.hpp>

#include "sandbox/base/text.h"
#include "supervisor/image/descriptor.h"
#include "supervisor/image/digest.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr std::size_t kMostLayers = 256;

Result<LayerCompression> compression_of(const std::string& media_type) {
  using enum LayerCompression;
  static constexpr std::array<std::pair<std::string_view, LayerCompression>, 7> known{
      {{"application/vnd.oci.image.layer.v1.tar", none},
       {"application/vnd.oci.image.layer.v1.tar+gzip", gzip},
       {"application/vnd.oci.image.layer.v1.tar+zstd", zstd},
       {"application/vnd.oci.image.layer.nondistributable.v1.tar", none},
       {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", gzip},
       {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", zstd},
       {"application/vnd.docker.image.rootfs.diff.tar.gzip", gzip}}};
  for (const auto& [name, compression] : known)
    if (media_type == name) return compression;
  return fail("read layer", "", "its type '" + printable(media_type, 200) + "' is none that is understood",
              "layers are tar archives: plain, or compressed with gzip or zstd");
}

bool is_config(const std::string& media_type) {
  return media_type == "application/vnd.oci.image.config.v1+json" ||
         media_type == "application/vnd.docker.container.image.v1+json";
}

Result<std::vector<std::string>> strings(const JsonNode& list, std::size_t most) {
  BULKHEAD_ASSIGN(const auto elements, list.elements());
  if (elements.size() > most) return list.refuse("has more than " + std::to_string(most) + " entries");
  std::vector<std::string> out;
  for (const JsonNode& element : elements) {
    BULKHEAD_ASSIGN(out.emplace_back(), element.string());
  }
  return out;
}

Result<> check_platform(const JsonNode& config, const ImagePlatform& platform) {
  for (const auto& [key, wanted] : {std::pair{"os", platform.os}, {"architecture", platform.architecture}}) {
    const auto node = config.find(key);
    if (!node) continue;
    BULKHEAD_ASSIGN(const std::string is, node->string());
    if (is != wanted) return node->refuse("the image is for " + printable(is, 60) + ", this host is " + wanted);
  }
  return {};
}

Result<std::vector<std::string>> diff_ids_of(const JsonNode& config, std::size_t layers) {
  const auto rootfs = config.find("rootfs");
  if (!rootfs) return config.refuse("has no 'rootfs'");
  BULKHEAD_TRY(rootfs->object());
  const auto list = rootfs->find("diff_ids");
  if (!list) return rootfs->refuse("has no list 'diff_ids'");
  BULKHEAD_ASSIGN(std::vector<std::string> ids, strings(*list, kMostLayers));
  if (ids.size() != layers)
    return list->refuse("names " + std::to_string(ids.size()) + " layers, the manifest " + std::to_string(layers));
  for (const std::string& id : ids)
    if (!is_digest(id)) return list->refuse("'" + printable(id, 100) + "' is no digest by sha256");
  return ids;
}

Result<std::vector<std::string>> environment_of(const JsonNode& config) {
  const auto inner = config.find("config");
  if (!inner || inner->value().is_null()) return std::vector<std::string>{};
  BULKHEAD_TRY(inner->object());
  const auto list = inner->find("Env");
  if (!list || list->value().is_null()) return std::vector<std::string>{};
  return strings(*list, 1024);
}

}  // namespace

Result<ImageManifest> read_manifest(const ImageLayout& layout, const Descriptor& manifest,
                                    const ImagePlatform& platform) {
  BULKHEAD_ASSIGN(const json document, layout.document(manifest, "image manifest"));
  const JsonNode node("image manifest", document);
  BULKHEAD_ASSIGN(const std::string type, type_of_document(document, manifest.media_type));
  if (is_index(type)) return node.refuse("it is an index of manifests");
  const auto config_node = node.find("config");
  if (!config_node) return node.refuse("has no 'config': it is no image's");
  BULKHEAD_ASSIGN(const Descriptor config, read_descriptor(*config_node));
  if (!is_config(config.media_type))
    return config_node->refuse("its type '" + printable(config.media_type, 200) + "' is not that of an image");
  BULKHEAD_ASSIGN(const std::vector<Descriptor> blobs, read_descriptors("image manifest", document, "layers"));
  if (blobs.size() > kMostLayers) return node.refuse("has more than 256 layers");

  BULKHEAD_ASSIGN(const json configuration, layout.document(config, "image configuration"));
  const JsonNode configured("image configuration", configuration);
  BULKHEAD_TRY(check_platform(configured, platform));
  BULKHEAD_ASSIGN(const auto ids, diff_ids_of(configured, blobs.size()));
  ImageManifest image;
  BULKHEAD_ASSIGN(image.environment, environment_of(configured));
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    auto compression = compression_of(blobs[i].media_type);
    if (!compression) {
      compression.error().object = blobs[i].digest;
      return std::unexpected(compression.error());
    }
    image.layers.push_back({.blob = blobs[i], .compression = *compression, .diff_id = ids[i]});
  }
  return image;
}

}  // namespace bulkhead
