#include "sandbox/launch/uid_space.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

struct Extent {
  std::uint64_t first = 0, end = 0;
};

std::vector<Extent> read_map(const std::string& text) {
  std::vector<Extent> extents;
  std::istringstream lines(text);
  for (std::uint64_t inside = 0, outside = 0, count = 0; lines >> inside >> outside >> count;)
    extents.push_back({inside, inside + count});
  return extents;
}

// The longest run of whole ranges that both maps have, at or above the second.
Extent most_ranges(const std::vector<Extent>& uids, const std::vector<Extent>& gids) {
  Extent best;
  for (const Extent& u : uids)
    for (const Extent& g : gids) {
      const std::uint64_t from = std::max({u.first, g.first, std::uint64_t{kRangeSize}});
      const std::uint64_t first = (from + kRangeSize - 1) / kRangeSize * kRangeSize;
      const std::uint64_t end = std::min({u.end, g.end, std::uint64_t{1} << 31}) / kRangeSize * kRangeSize;
      if (end > first && end - first > best.end - best.first) best = {first, end};
    }
  return best;
}

bool has(const std::vector<Extent>& map, std::uint64_t first, std::uint64_t end) {
  return std::any_of(map.begin(), map.end(), [&](const Extent& e) { return e.first <= first && end <= e.end; });
}

// Above what people get and below what services are given when they start, by the defaults of common distributions.
constexpr std::uint32_t kFirstSingle = 52000, kEndSingle = 60000;

}  // namespace

std::optional<std::uint32_t> UidSpace::range_of(std::uint32_t uid) const {
  if (uid < first || count == 0 || (uid - first) / step >= count) return std::nullopt;
  return uid - (uid - first) % step;
}

bool UidSpace::has_ranges() const { return step == kRangeSize && count != 0; }

UidSpace find_uid_space(const std::string& uid_map, const std::string& gid_map) {
  const auto uids = read_map(uid_map), gids = read_map(gid_map);
  constexpr std::uint64_t kEnd = std::uint64_t{kRangeFirst} + std::uint64_t{kRangeSize} * kRangeCount;
  if (has(uids, kRangeFirst, kEnd) && has(gids, kRangeFirst, kEnd)) return {kRangeFirst, kRangeSize, kRangeCount};
  const Extent ranges = most_ranges(uids, gids);
  if (ranges.end > ranges.first)
    return {static_cast<std::uint32_t>(ranges.first), kRangeSize,
            std::min(kRangeCount, static_cast<std::uint32_t>((ranges.end - ranges.first) / kRangeSize))};
  if (has(uids, kFirstSingle, kEndSingle) && has(gids, kFirstSingle, kEndSingle))
    return {kFirstSingle - kInsideUserId, 1, kEndSingle - kFirstSingle};
  return {};
}

Result<UidSpace> own_uid_space() {
  BULKHEAD_ASSIGN(const std::string uids, read_file("/proc/self/uid_map"));
  BULKHEAD_ASSIGN(const std::string gids, read_file("/proc/self/gid_map"));
  return find_uid_space(uids, gids);
}

}  // namespace bulkhead
