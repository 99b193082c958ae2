// Roots prepared once and used by many sandboxes. A plan's operations up to its pivot are the same for every sandbox of
// a policy: they are carried out once, in a mount namespace that is kept by descriptor. A sandbox is cloned from inside
// it, so that the kernel copies a tree that stands, and only the sandbox's own mounts are left to do.
//
// Everything in a prepared root is read-only and root's. A root whose sources have changed on the host (a file replaced
// by a new one, something optional that came or went) is made anew. What is mounted on the host below a shared
// directory after its root was prepared is seen once that root has gone unused for kKeepUnused.
//
// mount_namespaces(7), setns(2). The process must have one thread.
#pragma once

#include <chrono>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/launch/child_arguments.h"
#include "sandbox/launch/own_binds.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

class PreparedRoots {
 public:
  static constexpr std::chrono::seconds kKeepUnused{60};
  static constexpr std::size_t kMost = 32;

  static Result<PreparedRoots> open();  // the namespace we are in is where we return to

  // The mount namespace for `plan`, valid until the next call; and the index of the plan's first operation after it.
  struct Root {
    int mount_namespace = -1;
    std::size_t operations = 0;
  };
  std::expected<Root, SetupFailure> root_for(const LaunchPlan& plan, const OwnBinds& binds);

  // Enters a prepared root's namespace; leave() must follow. Nothing of the host can be opened by path in between.
  Result<> enter(const Root& root) const;
  void leave() const;

  // Drops what nobody has used for kKeepUnused; when to look again.
  std::optional<Clock::time_point> drop_unused(Clock::time_point now);

 private:
  struct Source {
    std::string path;
    std::uint64_t device = 0, inode = 0;  // 0, 0: absent
    bool operator==(const Source&) const = default;
  };
  struct Entry {
    Fd mount_namespace;
    std::vector<Source> sources;
    Clock::time_point used;
  };
  std::expected<Entry, SetupFailure> make(const std::vector<Operation>& operations) const;
  static std::vector<Source> look_at_sources(const std::vector<Operation>& operations);

  Fd home_;
  std::map<std::string, Entry> roots_;
};

}  // namespace bulkhead
