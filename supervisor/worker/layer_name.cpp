#include "supervisor/worker/layer_name.h"

#include "supervisor/worker/escape.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMostDepth = 256;
constexpr std::size_t kMostBytes = 4095;  // PATH_MAX, with its end
constexpr std::string_view kMark = ".wh.";

std::unexpected<Error> refuse(std::string_view raw, std::string why) {
  return fail("unpack", "'" + escaped(raw, 300) + "'", std::move(why));
}

}  // namespace

std::string LayerName::directory() const {
  std::string text;
  for (const std::string& part : parents) text += (text.empty() ? "" : "/") + part;
  return text.empty() ? "." : text;
}

std::string LayerName::path() const {
  if (leaf.empty()) return ".";
  return parents.empty() ? leaf : directory() + "/" + leaf;
}

Result<LayerName> parse_layer_name(std::string_view raw) {
  if (raw.size() > kMostBytes) return refuse(raw, "its name is longer than " + std::to_string(kMostBytes) + " bytes");
  LayerName name;
  for (std::size_t at = 0; at < raw.size();) {
    const std::size_t end = std::min(raw.find('/', at), raw.size());
    const std::string_view part = raw.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse(raw, "its name leads upwards with '..'");
    if (part.size() > 255) return refuse(raw, "a part of its name is longer than 255 bytes");
    if (!name.leaf.empty()) name.parents.push_back(std::move(name.leaf));
    name.leaf = part;
  }
  if (name.parents.size() >= kMostDepth)
    return refuse(raw, "it lies more than " + std::to_string(kMostDepth) + " directories deep");
  for (const std::string& parent : name.parents)
    if (parent.starts_with(kMark)) return refuse(raw, "it lies below a whiteout");
  return name;
}

Result<Whiteout> whiteout_of(const LayerName& name, std::string& hidden) {
  if (!name.leaf.starts_with(kMark)) return Whiteout::none;
  if (name.leaf == ".wh..wh..opq") return Whiteout::opaque;
  hidden = name.leaf.substr(kMark.size());
  if (hidden.starts_with(kMark)) return Whiteout::ignored;  // what AUFS kept for itself
  if (hidden.empty() || hidden == "." || hidden == "..") return refuse(name.path(), "it is a whiteout of nothing");
  return Whiteout::name;
}

}  // namespace bulkhead
