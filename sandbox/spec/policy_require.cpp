#include "sandbox/base/text.h"
#include "sandbox/spec/policy_reader.h"

namespace bulkhead {

// What is listed replaces the default, but for the walls without which there is no sandbox.
Result<> PolicyReader::read_require() {
  for (const WallInfo& info : all_walls())
    if (info.need == WallNeed::always) spec_.required_.insert(info.wall);
  BULKHEAD_ASSIGN(const auto nodes, part("require").elements());
  std::set<std::string> seen;
  for (const JsonNode& node : nodes) {
    BULKHEAD_ASSIGN(const std::string word, node.string());
    const WallInfo* info = find_wall(word);
    if (info == nullptr || info->need == WallNeed::runs)
      return node.refuse("unknown wall '" + printable(word, 80) + "'", suggest(word, requirable_walls(), "a wall"));
    if (!seen.insert(word).second) return node.refuse("'" + word + "' is there twice");
    spec_.required_.insert(info->wall);
  }
  // What a loosening takes away cannot be missing.
  if (spec_.allows(Loosening::no_landlock)) spec_.required_.erase(Wall::landlock);
  if (spec_.allows(Loosening::host_network)) spec_.required_.erase(Wall::network);
  return {};
}

}  // namespace bulkhead
