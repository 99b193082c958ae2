#include "sandbox/launch/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <set>
#include <sstream>

#include "sandbox/base/text.h"
#include "sandbox/launch/disks.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// The number after `key ` at the start of a line; without a key, the number the text begins with.
std::uint64_t number_in(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!key.empty()) {
      if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
      line.remove_prefix(key.size() + 1);
    }
    std::uint64_t number = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), number).ec == std::errc{}) return number;
  }
  return 0;
}

std::uint64_t read_number(const std::string& path, std::string_view key = {}) {
  const auto text = read_file(path, 1 << 16);
  return text ? number_in(*text, key) : 0;
}

// Microseconds of the line "some avg10=… avg60=… avg300=… total=123".
std::uint64_t stalled_us(const std::string& path) {
  const std::string text = read_file(path, 1 << 12).value_or("");
  const auto total = text.find("total=");
  return total == std::string::npos ? 0 : number_in(std::string_view(text).substr(total + 6), {});
}

// Where nodes are made: on hybrid hosts each v1 hierarchy once (cpu and cpuacct are often one), and the v2 tree.
std::vector<std::string> parents(const CgroupLayout& layout) {
  std::set<std::string> distinct;
  if (layout.mode != CgroupMode::none) distinct.insert(layout.v2_parent);
  for (const auto& [controller, directory] : layout.v1) distinct.insert(directory);
  return {distinct.begin(), distinct.end()};
}

Result<> enable_controllers(const std::string& directory, bool io) {
  const auto enabled = read_file(directory + "/cgroup.subtree_control").value_or("");
  const auto is_enabled = [&](std::string_view controller) {
    std::istringstream words(enabled);
    for (std::string word; words >> word;)
      if (word == controller) return true;
    return false;
  };
  std::string wanted;
  for (const char* controller : {"cpu", "memory", "pids", "io"}) {
    if (controller == std::string_view("io") && !io) continue;
    if (!is_enabled(controller)) wanted += std::string(wanted.empty() ? "+" : " +") + controller;
  }
  if (wanted.empty()) return {};
  auto written = write_kernel_file(directory + "/cgroup.subtree_control", wanted);
  if (!written && written.error().code == EBUSY)
    written.error().hint = "processes live in " + directory + " itself; delegate an empty cgroup to Bulkhead";
  return written;
}

// The nodes right below one: all else in a cgroup directory is files.
std::vector<std::string> nodes_in(const std::string& directory) {
  std::vector<std::string> nodes;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return nodes;
  while (const dirent* entry = ::readdir(stream.get()))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') nodes.emplace_back(entry->d_name);
  return nodes;
}

// Depth first; `leaf_first` sees children before parents.
void walk(const std::string& directory, const std::function<void(const std::string&)>& leaf_first) {
  for (const auto& node : nodes_in(directory)) walk(directory + "/" + node, leaf_first);
  leaf_first(directory);
}

}  // namespace

std::string cgroup_root_name(const std::string& state_dir) {
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a
  for (const unsigned char c : state_dir) hash = (hash ^ c) * 1099511628211ULL;
  char text[17];
  constexpr char digits[] = "0123456789abcdef";
  for (int i = 0; i < 16; ++i) text[i] = digits[(hash >> (60 - 4 * i)) & 15];
  return "bulkhead-" + std::string(text, 12);
}

namespace {

enum class Controllers { none, usual, usual_and_io };

// One that is there already was left by a launcher that was killed, with its limits, its state and its counts. The
// kernel says EBUSY where somebody lives in it, and for a moment after the last one was reaped.
Result<> make_leaf(const std::string& directory) {
  constexpr int kTries = 50;
  constexpr int kPauseMs = 2;
  for (int i = 0; i < kTries; ++i) {
    if (::mkdir(directory.c_str(), 0755) == 0) return {};
    if (errno != EEXIST) return errno_error("create cgroup", directory);
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) continue;
    if (errno != EBUSY) break;
    ::poll(nullptr, 0, kPauseMs);
  }
  return errno_error("create cgroup anew", directory);
}

Result<> make_node(const std::string& parent, const std::string& path, Controllers controllers) {
  // Mostly the nodes above are there already, with the usual controllers; but what is above our root is not ours.
  const bool ours_above = path.contains('/');
  if (controllers == Controllers::none || (controllers == Controllers::usual && ours_above)) {
    auto made = make_leaf(parent + "/" + path);
    if (made || made.error().code != ENOENT) return made;
  }
  std::string directory = parent;
  auto parts = split(path, '/');
  const std::string leaf = parts.back();
  parts.pop_back();
  const auto prepare = [&]() -> Result<> {
    if (controllers == Controllers::none) return {};
    return enable_controllers(directory, controllers == Controllers::usual_and_io);
  };
  for (const std::string& part : parts) {
    BULKHEAD_TRY(prepare());
    directory += "/" + part;
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return errno_error("create cgroup", directory);
  }
  BULKHEAD_TRY(prepare());
  return make_leaf(directory + "/" + leaf);
}

}  // namespace

Result<Cgroup> Cgroup::create(const CgroupLayout& layout, const std::string& root, const std::string& node,
                              const std::set<std::string>& controllers) {
  const std::string path = node.empty() ? root : root + "/" + node;
  const bool v2 = layout.mode == CgroupMode::v2;
  const auto make = [&]() -> Result<Cgroup> {
    BULKHEAD_TRY(make_node(layout.v2_parent, path,
                           !v2                          ? Controllers::none
                           : controllers.contains("io") ? Controllers::usual_and_io
                                                        : Controllers::usual));
    std::set<std::string> hierarchies;  // several controllers may be one
    for (const std::string& controller : controllers)
      if (const auto v1 = layout.v1.find(controller); v1 != layout.v1.end()) hierarchies.insert(v1->second);
    for (const std::string& hierarchy : hierarchies) BULKHEAD_TRY(make_node(hierarchy, path, Controllers::none));
    // On the leaf, with a memory limit or without: when the kernel runs short, the whole agent ends or none of it.
    if (v2) BULKHEAD_TRY(write_kernel_file(layout.v2_parent + "/" + path + "/memory.oom.group", "1"));
    return open(layout, root, node);
  };
  auto made = make();
  if (!made) {
    Cgroup half;
    half.layout_ = layout;
    half.root_ = root;
    half.node_ = node;
    (void)half.remove();
  }
  return made;
}

Result<Cgroup> Cgroup::open(const CgroupLayout& layout, const std::string& root, const std::string& node) {
  Cgroup cgroup;
  cgroup.layout_ = layout;
  cgroup.root_ = root;
  cgroup.node_ = node;
  BULKHEAD_ASSIGN(cgroup.v2_, open_file(cgroup.directory(""), O_RDONLY | O_DIRECTORY));
  for (const auto& [controller, directory] : layout.v1) {
    auto tasks = open_file(cgroup.directory(controller) + "/tasks", O_WRONLY);
    if (!tasks && tasks.error().code == ENOENT) continue;  // not one that this sandbox is limited by
    if (!tasks) return std::unexpected(tasks.error());
    cgroup.v1_tasks_.push_back(std::move(*tasks));
  }
  return cgroup;
}

std::string Cgroup::directory(const std::string& controller) const {
  const auto v1 = layout_.v1.find(controller);
  return (v1 == layout_.v1.end() ? layout_.v2_parent : v1->second) + "/" + root_ + "/" + node_;
}

Result<> Cgroup::limit(const std::string& what, std::uint64_t number) {
  const bool v1 = layout_.mode == CgroupMode::hybrid;
  const std::string text = std::to_string(number);
  if (what == "memory") {
    memory_limit_ = number;
    if (v1) {
      // What lies in sockets of the internet families is no part of the memory there: it has a limit of its own.
      const std::string sockets = directory("memory") + "/memory.kmem.tcp.limit_in_bytes";
      if (exists(sockets)) BULKHEAD_TRY(write_kernel_file(sockets, text));
      return write_kernel_file(directory("memory") + "/memory.limit_in_bytes", text);
    }
    return write_kernel_file(directory("") + "/memory.max", text);
  }
  if (what == "swap") {
    if (!v1) {
      const std::string path = directory("") + "/memory.swap.max";
      return exists(path) ? write_kernel_file(path, text) : Result<>{};  // no swap accounting, and then no swap either
    }
    const std::string path = directory("memory") + "/memory.memsw.limit_in_bytes";
    if (!exists(path)) return {};
    return write_kernel_file(path, std::to_string(memory_limit_ + number));
  }
  if (what == "cpu") {
    constexpr std::uint64_t kPeriodUs = 100000;
    const std::string quota = std::to_string(number * kPeriodUs / 1000);
    if (!v1) return write_kernel_file(directory("") + "/cpu.max", quota + " " + std::to_string(kPeriodUs));
    BULKHEAD_TRY(write_kernel_file(directory("cpu") + "/cpu.cfs_period_us", std::to_string(kPeriodUs)));
    return write_kernel_file(directory("cpu") + "/cpu.cfs_quota_us", quota);
  }
  // v1 has a soft limit, which is reclaimed to when the host runs short, and shares, of which 1024 are everybody's.
  if (what == "memory_high")
    return write_kernel_file(v1 ? directory("memory") + "/memory.soft_limit_in_bytes" : directory("") + "/memory.high",
                             text);
  if (what == "cpu_weight")
    return v1 ? write_kernel_file(directory("cpu") + "/cpu.shares", std::to_string(number * 1024 / 100))
              : write_kernel_file(directory("") + "/cpu.weight", text);
  if (what == "io_read" || what == "io_write") return limit_io(what == "io_read", number);
  if (what == "pids") return write_kernel_file(directory(v1 ? "pids" : "") + "/pids.max", text);
  return fail("limit cgroup", what, "not a known limit");
}

// Each disk's limit is a write of its own: "254:0 rbps=1048576" (cgroup-v2.rst), "254:0 1048576"
// (blkio-controller.rst).
Result<> Cgroup::limit_io(bool read, std::uint64_t number) {
  const bool v1 = layout_.mode == CgroupMode::hybrid;
  const std::string path = directory("io") + (!v1    ? "/io.max"
                                              : read ? "/blkio.throttle.read_bps_device"
                                                     : "/blkio.throttle.write_bps_device");
  std::size_t limited = 0;
  for (const std::string& disk : list_disks()) {
    const auto written = write_kernel_file(path, disk +
                                                     (v1     ? " "
                                                      : read ? " rbps="
                                                             : " wbps=") +
                                                     std::to_string(number));
    if (written) {
      ++limited;
    } else if (written.error().code == ENOENT) {
      Error error = written.error();
      error.hint = "this kernel cannot limit input and output (CONFIG_BLK_DEV_THROTTLING); write 'unlimited'";
      return std::unexpected(std::move(error));
    } else if (written.error().code != ENODEV && written.error().code != ENXIO) {  // those: it has just gone
      return written;
    }
  }
  if (limited == 0)
    return fail("limit input and output", path, "this host has no disk that could be limited", "write 'unlimited'");
  return {};
}

CgroupUsage Cgroup::usage() const {
  const bool v1 = layout_.mode == CgroupMode::hybrid;
  return {.cpu_us = cpu_us(),
          .memory_peak = read_number(v1 ? directory("memory") + "/memory.max_usage_in_bytes"  //
                                        : directory("") + "/memory.peak"),
          .oom_kills = oom_kills(),
          .pids_refusals = read_number(directory(v1 ? "pids" : "") + "/pids.events", "max"),
          .cpu_stalled_us = stalled_us(directory("") + "/cpu.pressure"),
          .memory_stalled_us = stalled_us(directory("") + "/memory.pressure"),
          .io_stalled_us = stalled_us(directory("") + "/io.pressure")};
}

Result<> Cgroup::kill() const { return write_kernel_file(directory("") + "/cgroup.kill", "1"); }

Result<> Cgroup::set_frozen(bool frozen) const {
  return write_kernel_file(directory("") + "/cgroup.freeze", frozen ? "1" : "0");
}

// Every node of the v2 tree counts its processes' CPU time, also where the controller is on a v1 hierarchy.
std::uint64_t Cgroup::cpu_us() const { return read_number(directory("") + "/cpu.stat", "usage_usec"); }

std::uint64_t Cgroup::oom_kills() const {
  return layout_.mode == CgroupMode::hybrid ? read_number(directory("memory") + "/memory.oom_control", "oom_kill")
                                            : read_number(directory("") + "/memory.events", "oom_kill");
}

void Cgroup::close_entrances() {
  v2_.reset();
  v1_tasks_.clear();
}

Result<> Cgroup::remove() {
  close_entrances();
  for (const std::string& parent : parents(layout_)) {
    const std::string path = parent + "/" + root_ + "/" + node_;
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return errno_error("remove cgroup", path);
  }
  return {};
}

Result<> remove_cgroup_root(const CgroupLayout& layout, const std::string& root) {
  Result<> result;
  for (const std::string& parent : parents(layout)) {
    if (!exists(parent + "/" + root)) continue;  // where nothing can be removed, nothing could be made
    walk(parent + "/" + root, [&](const std::string& path) {
      if (::rmdir(path.c_str()) != 0 && errno != ENOENT && result) result = errno_error("remove cgroup", path);
    });
  }
  return result;
}

void remove_empty_parents(const CgroupLayout& layout, const std::string& root, const std::string& node,
                          const std::set<std::string>& kept) {
  for (const std::string& parent : parents(layout)) {
    for (std::string above = node; !above.empty();) {
      const auto slash = above.rfind('/');
      above.resize(slash == std::string::npos ? 0 : slash);
      if (kept.contains(above)) break;
      if (::rmdir((parent + "/" + root + (above.empty() ? "" : "/" + above)).c_str()) != 0 && errno != ENOENT) break;
    }
  }
}

std::vector<std::string> list_cgroup_roots(const CgroupLayout& layout) {
  std::set<std::string> roots;
  for (const std::string& parent : parents(layout)) {
    for (const auto& child : nodes_in(parent))
      if (child.starts_with("bulkhead-")) roots.insert(child);
  }
  return {roots.begin(), roots.end()};
}

Result<> kill_cgroup_root(const CgroupLayout& layout, const std::string& root) {
  const std::string path = layout.v2_parent + "/" + root;
  if (layout.mode == CgroupMode::none || !exists(path)) return {};
  return write_kernel_file(path + "/cgroup.kill", "1");
}

std::vector<int> cgroup_root_processes(const CgroupLayout& layout, const std::string& root) {
  std::set<int> pids;
  for (const std::string& parent : parents(layout))
    walk(parent + "/" + root, [&](const std::string& path) {
      std::istringstream lines(read_file(path + "/cgroup.procs").value_or(""));
      for (int pid = 0; lines >> pid;) pids.insert(pid);
    });
  return {pids.begin(), pids.end()};
}

}  // namespace bulkhead
