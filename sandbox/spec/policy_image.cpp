// `root: {from: image, …}`. Nothing is looked at here: whether there is such an image shows when it is unpacked.
#include <algorithm>

#include "sandbox/base/hex.h"
#include "sandbox/base/text.h"
#include "sandbox/spec/policy_reader.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t kDefaultBytes = 8ULL << 30;
constexpr std::uint64_t kMostBytes = 1ULL << 40;
constexpr std::uint64_t kDefaultEntries = 1'000'000;
constexpr std::uint64_t kMostEntries = 20'000'000;

bool is_sha256(std::string_view text) { return text.starts_with("sha256:") && is_sha256_hex(text.substr(7)); }

bool is_pattern(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  if (text.ends_with('*')) text.remove_suffix(1);
  return !text.empty() && text.size() <= 200 && text.find_first_not_of(letters) == std::string_view::npos;
}

}  // namespace

std::string ImageRoot::text() const {
  return layout + (reference.empty() ? "" : ":" + reference) + (digest.empty() ? "" : "@" + digest);
}

Result<> PolicyReader::read_image_root(const JsonNode& root) {
  static const std::vector<std::string> keys{"from",        "path", "reference", "digest",
                                             "environment", "keep", "size",      "inodes"};
  BULKHEAD_TRY(root.object_of(keys));
  ImageRoot image{.bytes = kDefaultBytes, .entries = kDefaultEntries};
  const auto path = root.find("path");
  if (!path) return root.refuse("needs the key 'path': the directory of an OCI image layout");
  BULKHEAD_ASSIGN(image.layout, read_host_path(*path));
  if (const auto node = root.find("reference")) {
    BULKHEAD_ASSIGN(image.reference, node->string());
    if (image.reference.empty() || image.reference.size() > 255 || printable(image.reference, 1024) != image.reference)
      return node->expected("an image's name in its layout, at most 255 characters");
  }
  if (const auto node = root.find("digest")) {
    BULKHEAD_ASSIGN(image.digest, node->string());
    if (!is_sha256(image.digest))
      return node->expected("'sha256:' and 64 hexadecimal digits", "index.json of the layout lists the digests");
  }
  if (const auto node = root.find("environment")) {
    BULKHEAD_ASSIGN(const auto elements, node->elements());
    for (const JsonNode& element : elements) {
      BULKHEAD_ASSIGN(std::string pattern, element.string());
      if (!is_pattern(pattern)) return element.expected("the name of a variable, or the beginning of one and '*'");
      if (std::ranges::find(image.environment, pattern) != image.environment.end())
        return element.refuse("'" + pattern + "' is there twice");
      image.environment.push_back(std::move(pattern));
    }
  }
  if (const auto node = root.find("keep")) {
    BULKHEAD_ASSIGN(const auto elements, node->elements());
    for (const JsonNode& element : elements) {
      BULKHEAD_ASSIGN(const std::string word, element.string());
      if (word == "setuid" || word == "devices")
        return element.refuse("'" + word + "' cannot be kept",
                              "in every sandbox setuid bits and device nodes of files are without effect");
      static const std::vector<std::string> words{"xattrs"};
      BULKHEAD_TRY(element.word(words));
      image.keep_user_attributes = true;
    }
  }
  if (const auto node = root.find("size")) {
    BULKHEAD_ASSIGN(image.bytes, read_bytes(*node, 4096, kMostBytes));
  }
  if (const auto node = root.find("inodes")) {
    BULKHEAD_ASSIGN(image.entries, node->integer(16, kMostEntries));
  }
  spec_.root_image_ = std::move(image);
  return {};
}

}  // namespace bulkhead
