// From a layout and a wish to one manifest.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/base/text.h"
#include "supervisor/image/descriptor.h"
#include "supervisor/image/digest.h"

namespace bulkhead {
namespace {

constexpr unsigned kMostIndexes = 4;  // of indexes in indexes
constexpr std::size_t kMostListed = 20;

std::string shown(const ImagePlatform& platform) { return platform.os + "/" + platform.architecture; }

std::string list_of(const std::vector<Descriptor>& descriptors) {
  std::string text;
  for (std::size_t i = 0; i < descriptors.size() && i < kMostListed; ++i) {
    const Descriptor& d = descriptors[i];
    text += (i == 0 ? "" : ", ") + (d.reference.empty() ? "" : "'" + printable(d.reference, 200) + "' ") + d.digest;
    if (d.platform) text += " (" + printable(shown(*d.platform), 60) + ")";
  }
  if (descriptors.size() > kMostListed) text += ", …";
  return text;
}

// The one of several that is for our platform. What says no platform is for every one.
Result<Descriptor> choose_platform(std::vector<Descriptor> candidates, const ImageChoice& choice,
                                   const std::string& where) {
  std::erase_if(candidates, [](const Descriptor& d) { return !is_index(d.media_type) && !is_manifest(d.media_type); });
  if (candidates.empty()) return fail("choose image", where, "it lists no image");
  std::vector<Descriptor> fitting = candidates;
  std::erase_if(fitting, [&](const Descriptor& d) { return d.platform && *d.platform != choice.platform; });
  if (fitting.empty())
    return fail("choose image", where,
                "it has none for " + shown(choice.platform) + ", but for these: " + list_of(candidates));
  if (fitting.size() > 1)
    return fail("choose image", where, "it has several: " + list_of(fitting),
                "name one in the policy's root with 'reference', or pin one with 'digest'");
  return fitting.front();
}

Result<Descriptor> start_of(const ImageLayout& layout, const ImageChoice& choice) {
  if (choice.reference.empty() && !choice.digest.empty()) return Descriptor{.digest = choice.digest};
  BULKHEAD_ASSIGN(const std::vector<Descriptor> all, layout.index());
  if (choice.reference.empty()) return choose_platform(all, choice, layout.directory());
  std::vector<Descriptor> named = all;
  std::erase_if(named, [&](const Descriptor& d) { return d.reference != choice.reference; });
  if (named.empty())
    return fail("choose image", layout.directory(),
                "none has the reference '" + printable(choice.reference, 200) + "'" +
                    (all.empty() ? "" : "; there are: " + list_of(all)));
  if (choice.digest.empty()) return choose_platform(named, choice, layout.directory());
  const auto pinned = std::ranges::find(named, choice.digest, &Descriptor::digest);
  if (pinned == named.end())
    return fail("choose image", layout.directory(),
                "the reference '" + printable(choice.reference, 200) + "' is no longer the pinned " + choice.digest +
                    ", but " + list_of(named),
                "see what changed, then pin the new digest or take the old image back");
  return *pinned;
}

}  // namespace

Result<Descriptor> choose_manifest(const ImageLayout& layout, const ImageChoice& choice) {
  BULKHEAD_ASSIGN(Descriptor chosen, start_of(layout, choice));
  for (unsigned depth = 0; depth <= kMostIndexes; ++depth) {
    BULKHEAD_ASSIGN(const nlohmann::json document, layout.document(chosen, "image"));
    // Also of one that is pinned: it says itself what it is.
    BULKHEAD_ASSIGN(chosen.media_type, type_of_document(document, chosen.media_type));
    if (!is_index(chosen.media_type)) return chosen;
    BULKHEAD_ASSIGN(std::vector<Descriptor> inner, read_descriptors("image index", document, "manifests"));
    BULKHEAD_ASSIGN(chosen, choose_platform(std::move(inner), choice, chosen.digest));
  }
  return fail("choose image", layout.directory(), "its indexes are nested too deep");
}

}  // namespace bulkhead
