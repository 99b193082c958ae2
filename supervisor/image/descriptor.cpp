#include "supervisor/image/descriptor.h"

#include "sandbox/base/text.h"
#include "supervisor/image/digest.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMostDescriptors = 1024;
constexpr const char* kIndex = "application/vnd.oci.image.index.v1+json";
constexpr const char* kManifest = "application/vnd.oci.image.manifest.v1+json";

Result<std::string> text_of(const JsonNode& node, const std::string& key) {
  const auto member = node.find(key);
  if (!member) return std::string();
  return member->string();
}

}  // namespace

Result<Descriptor> read_descriptor(const JsonNode& node) {
  BULKHEAD_TRY(node.object());
  Descriptor descriptor;
  BULKHEAD_ASSIGN(descriptor.media_type, text_of(node, "mediaType"));
  BULKHEAD_ASSIGN(descriptor.digest, text_of(node, "digest"));
  if (!is_digest(descriptor.digest))
    return node.refuse("its digest '" + printable(descriptor.digest, 100) + "' is none by sha256");
  const auto size = node.find("size");
  if (!size) return node.refuse("has no size");
  BULKHEAD_ASSIGN(descriptor.size, size->integer(0, 1ULL << 50));
  if (const auto platform = node.find("platform")) {
    BULKHEAD_TRY(platform->object());
    ImagePlatform is;
    BULKHEAD_ASSIGN(is.os, text_of(*platform, "os"));
    BULKHEAD_ASSIGN(is.architecture, text_of(*platform, "architecture"));
    descriptor.platform = std::move(is);
  }
  if (const auto annotations = node.find("annotations")) {
    BULKHEAD_TRY(annotations->object());
    BULKHEAD_ASSIGN(descriptor.reference, text_of(*annotations, "org.opencontainers.image.ref.name"));
  }
  return descriptor;
}

Result<std::vector<Descriptor>> read_descriptors(const char* document, const nlohmann::json& object,
                                                 const std::string& key) {
  const JsonNode node(document, object);
  const auto list = node.find(key);
  if (!list) return node.refuse("has no list '" + key + "'");
  BULKHEAD_ASSIGN(const auto elements, list->elements());
  if (elements.size() > kMostDescriptors) return list->refuse("has more than 1024 entries");
  std::vector<Descriptor> descriptors;
  for (const JsonNode& element : elements) {
    BULKHEAD_ASSIGN(descriptors.emplace_back(), read_descriptor(element));
  }
  return descriptors;
}

bool is_index(const std::string& media_type) {
  return media_type == kIndex || media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

bool is_manifest(const std::string& media_type) {
  return media_type == kManifest || media_type == "application/vnd.docker.distribution.manifest.v2+json";
}

Result<std::string> type_of_document(const nlohmann::json& object, const std::string& named) {
  const JsonNode node("image", object);
  BULKHEAD_ASSIGN(std::string type, text_of(node, "mediaType"));
  if (!type.empty() && !named.empty() && type != named)
    return node.refuse("it says that it is '" + printable(type, 200) + "', and what names it, '" +
                       printable(named, 200) + "'");
  const bool lists = object.contains("manifests");
  const bool holds = object.contains("layers") || object.contains("config") || object.contains("fsLayers");
  if (type.empty()) type = named;
  if (type.empty()) type = lists ? kIndex : kManifest;
  if (!is_index(type) && !is_manifest(type))
    return node.refuse("its type '" + printable(type, 200) + "' is none of an image's");
  if (is_index(type) ? holds : lists)
    return node.refuse("it can be read as a manifest and as an index of others, so nothing says which is meant");
  return type;
}

}  // namespace bulkhead
