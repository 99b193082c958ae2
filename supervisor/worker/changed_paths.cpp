#include "supervisor/worker/changed_paths.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "sandbox/base/text.h"
#include "supervisor/worker/escape.h"

namespace bulkhead {
namespace {

constexpr std::size_t listed_bytes = std::size_t{40} << 10;  // JSON of the list; the rest of the answer is small
constexpr std::size_t entry_bytes = 112;                     // JSON of an entry but for its path

// With -z: ":oldmode newmode oldid newid S" NUL path NUL for each path, then "added TAB removed TAB path" NUL for each.
class Reader {
 public:
  Reader(Changes& changes, std::uint64_t max_paths) : changes_(changes), max_paths_(max_paths) {}

  Result<> take(std::string_view record) {
    if (!pending_.empty()) return take_path(record);
    if (record.starts_with(':')) {
      pending_ = record;
      return {};
    }
    return take_counts(record);
  }

 private:
  Result<> take_path(std::string_view path) {
    const auto fields = split(std::exchange(pending_, {}), ' ');
    if (fields.size() != 5 || fields[4].empty()) return fail("compare", "", "git's answer is not understood");
    ++changes_.total;
    if (full_ || changes_.paths.size() >= max_paths_) return {};
    ChangedPath changed{.path = escaped(path, 2048), .status = fields[4].substr(0, 1)};
    changed.mode = changed.status == "D" ? fields[0].substr(1) : fields[1];
    // Backslashes double once more in JSON.
    bytes_ += entry_bytes + changed.path.size() + static_cast<std::size_t>(std::ranges::count(changed.path, '\\'));
    if (bytes_ > listed_bytes) {
      full_ = true;
      return {};
    }
    index_.emplace(path, changes_.paths.size());
    changes_.paths.push_back(std::move(changed));
    return {};
  }

  Result<> take_counts(std::string_view record) {
    const auto first = record.find('\t');
    const auto second = first == std::string_view::npos ? first : record.find('\t', first + 1);
    if (second == std::string_view::npos) return fail("compare", "", "git's answer is not understood");
    std::uint64_t added = 0;
    std::uint64_t removed = 0;
    std::from_chars(record.data(), record.data() + first, added);  // "-" of a binary file leaves 0
    std::from_chars(record.data() + first + 1, record.data() + second, removed);
    changes_.added += added;
    changes_.removed += removed;
    const auto listed = index_.find(record.substr(second + 1));
    if (listed == index_.end()) return {};
    ChangedPath& changed = changes_.paths[listed->second];
    changed.added = added;
    changed.removed = removed;
    changed.binary = record.starts_with('-');
    return {};
  }

  Changes& changes_;
  std::uint64_t max_paths_;
  std::string pending_;
  std::size_t bytes_ = 0;
  bool full_ = false;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace

Result<Changes> changed_paths(const Git& git, const ObjectId& from, const ObjectId& to, std::uint64_t max_paths) {
  Changes changes;
  Reader reader(changes, std::min<std::uint64_t>(max_paths, 1024));
  Records records([&](std::string_view record) { return reader.take(record); });
  BULKHEAD_TRY(git.must("compare", to,
                        {"diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", "--no-ext-diff",
                         "--no-textconv", "--ignore-submodules=none", from, to},
                        {.sink = records.sink()}));
  return changes;
}

}  // namespace bulkhead
