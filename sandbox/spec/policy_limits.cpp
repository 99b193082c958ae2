#include <algorithm>
#include <limits>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/spec/policy_reader.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t kMostBytes = 1ULL << 60;
constexpr std::uint64_t kLeastMemory = 4ULL << 20;  // below this init and the first exec do not fit and nothing starts
constexpr std::uint64_t kMostPids = 4'194'304;      // PID_MAX_LIMIT of 64-bit kernels
constexpr std::uint64_t kLeastPids = 2;             // init and the command
constexpr std::uint32_t kLeastCpu = 10;             // the kernel's least quota is 1 ms of a period of 100 ms
constexpr std::uint64_t kLeastFiles = 16;
constexpr std::uint64_t kMostFiles = 1'048'576;    // fs.nr_open as kernels ship it
constexpr std::uint64_t kLeastIo = 64ULL << 10;    // a second; with less the first read of a program takes minutes
constexpr std::uint64_t kMostOutput = 1ULL << 36;  // 64 GiB
constexpr std::uint64_t kLeastDisk = 16ULL << 20;
constexpr std::uint64_t kMostDisk = 8ULL << 40;  // what ext4 without 64-bit block numbers holds, tables included
constexpr std::uint64_t kLeastInodes = 64;
constexpr std::uint64_t kMostBytesPerInode = 4ULL << 20;  // it has them, asked for or not
constexpr std::uint64_t kBytesPerInode = 4096;            // a file system of its own cannot have more

bool is_unlimited(const JsonNode& node) { return node.value() == "unlimited"; }

// What the parser of a quantity has to say, at the place in the policy.
std::unexpected<Error> refuse_quantity(const JsonNode& node, const Error& error) {
  if (error.detail.starts_with("expected"))
    return node.expected(error.detail.substr(std::string_view("expected ").size()));
  return node.refuse(error.object + " " + error.detail);
}

Result<std::uint32_t> read_cpu(const JsonNode& node) {
  const nlohmann::json& value = node.value();
  if (!value.is_string() && !value.is_number()) return node.expected("a number of CPUs such as 2, 1.5 or 500m");
  const auto milli = parse_cpu_milli(value.is_string() ? value.get<std::string>() : value.dump());
  if (!milli) return refuse_quantity(node, milli.error());
  if (*milli < kLeastCpu) return node.expected("at least 10m, a hundredth of a CPU");
  return *milli;
}

Result<std::chrono::milliseconds> read_duration(const JsonNode& node) {
  constexpr std::string_view what = "a duration such as 250ms, 10s, 30m or 1h30m";
  if (node.value().is_number()) return node.expected(what, "write the unit too: " + node.value().dump() + "s");
  if (!node.value().is_string()) return node.expected(what);
  const auto duration = parse_duration(node.value().get_ref<const std::string&>());
  if (!duration) return refuse_quantity(node, duration.error());
  if (duration->count() == 0) return node.expected("more than nothing", "write 'unlimited' for no bound");
  return *duration;
}

}  // namespace

Result<std::uint64_t> read_bytes(const JsonNode& node, std::uint64_t least, std::uint64_t most) {
  const nlohmann::json& value = node.value();
  std::uint64_t bytes = 0;
  if (value.is_number_integer()) {
    BULKHEAD_ASSIGN(bytes, node.integer(0, std::numeric_limits<std::uint64_t>::max()));
  } else if (value.is_string()) {
    const auto parsed = parse_bytes(value.get_ref<const std::string&>());
    if (!parsed) return refuse_quantity(node, parsed.error());
    bytes = *parsed;
  } else {
    return node.expected("a size such as 512Mi or 2Gi");
  }
  if (bytes < least) return node.expected("a size of at least " + format_bytes(least));
  if (bytes > most) return node.expected("a size of at most " + format_bytes(most));
  return bytes;
}

Result<> PolicyReader::read_limits() {
  static const std::vector<std::string> keys{"memory",     "swap",       "cpu",       "pids",   "wall",
                                             "cpu_time",   "open_files", "file_size", "output", "memory_high",
                                             "cpu_weight", "io_read",    "io_write",  "disk",   "inodes"};
  const JsonNode limits = part("limits");
  BULKHEAD_TRY(limits.object_of(keys));
  Limits& out = spec_.limits_;
  for (const std::string& key : keys) out.origins[key] = origin("/limits/" + key);
  const auto at = [&](const char* key) { return *limits.find(key); };

  if (is_unlimited(at("memory")))
    BULKHEAD_TRY(needs(Loosening::unlimited_memory, at("memory"), "a sandbox without a memory limit"));
  else {
    BULKHEAD_ASSIGN(out.memory_bytes, read_bytes(at("memory"), kLeastMemory, kMostBytes));
  }
  if (is_unlimited(at("pids")))
    BULKHEAD_TRY(needs(Loosening::unlimited_pids, at("pids"), "a sandbox without a limit of processes"));
  else {
    BULKHEAD_ASSIGN(const auto pids, at("pids").integer(kLeastPids, kMostPids));
    out.pids = static_cast<std::uint32_t>(pids);
  }
  if (is_unlimited(at("swap"))) return at("swap").expected("a size such as 512Mi, or 0");
  BULKHEAD_ASSIGN(out.swap_bytes, read_bytes(at("swap"), 0, kMostBytes));
  if (!is_unlimited(at("memory_high"))) {
    BULKHEAD_ASSIGN(out.memory_high, read_bytes(at("memory_high"), kLeastMemory, kMostBytes));
    if (out.memory_bytes != 0 && out.memory_high >= out.memory_bytes)
      return at("memory_high").expected("less than the memory limit, which comes first otherwise");
  }
  BULKHEAD_ASSIGN(const auto weight, at("cpu_weight").integer(1, 10000));
  out.cpu_weight = static_cast<std::uint32_t>(weight);
  if (!is_unlimited(at("cpu"))) {
    BULKHEAD_ASSIGN(out.cpu_milli, read_cpu(at("cpu")));
  }
  if (!is_unlimited(at("io_read"))) {
    BULKHEAD_ASSIGN(out.io_read, read_bytes(at("io_read"), kLeastIo, kMostBytes));
  }
  if (!is_unlimited(at("io_write"))) {
    BULKHEAD_ASSIGN(out.io_write, read_bytes(at("io_write"), kLeastIo, kMostBytes));
  }
  if (!is_unlimited(at("wall"))) {
    BULKHEAD_ASSIGN(out.wall, read_duration(at("wall")));
  }
  if (!is_unlimited(at("cpu_time"))) {
    BULKHEAD_ASSIGN(out.cpu_time, read_duration(at("cpu_time")));
  }
  BULKHEAD_ASSIGN(out.open_files, at("open_files").integer(kLeastFiles, kMostFiles));
  if (!is_unlimited(at("file_size"))) {
    BULKHEAD_ASSIGN(out.file_bytes, read_bytes(at("file_size"), 1, kMostBytes));
  }
  BULKHEAD_ASSIGN(out.output_bytes, read_bytes(at("output"), 0, kMostOutput));
  BULKHEAD_ASSIGN(const auto inodes, at("inodes").integer(kLeastInodes, kMostDisk / kBytesPerInode));
  if (is_unlimited(at("disk"))) return needs(Loosening::unbounded_disk, at("disk"), "a sandbox without a disk limit");
  BULKHEAD_ASSIGN(out.disk_bytes, read_bytes(at("disk"), kLeastDisk, kMostDisk));
  const std::uint64_t least = (out.disk_bytes + kMostBytesPerInode - 1) / kMostBytesPerInode;
  const bool given = out.origins["inodes"] != "built-in";
  if (given && inodes < least)
    return at("inodes").expected("at least " + std::to_string(least) + ", one for each 4Mi of limits.disk");
  out.disk_inodes = std::min(std::max(inodes, least), out.disk_bytes / kBytesPerInode);
  return {};
}

}  // namespace bulkhead
