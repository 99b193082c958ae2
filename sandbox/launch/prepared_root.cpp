#include "sandbox/launch/prepared_root.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>

#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

SetupFailure failure(Step step, Error error) { return {std::string(name(step)), std::move(error)}; }

// The operations that make the root of `plan`. What a mount point must be depends on what will stand there: a file for
// a file; a link for a link, which is made instead; nothing for what is absent.
std::vector<Operation> root_operations(const LaunchPlan& plan, std::size_t count, const OwnBinds& binds) {
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < count; ++i) {
    Operation op = plan.operations[i];
    if (op.step < Step::root_tmpfs) continue;
    const auto bind = op.step == Step::mount_point ? binds.find(op.target) : binds.end();
    if (bind != binds.end()) {
      if (bind->second.kind == SourceKind::absent) continue;
      if (bind->second.kind == SourceKind::file) op.flags |= kFile;
      if (bind->second.kind == SourceKind::link) {
        op.step = Step::symlink;
        op.text = bind->second.link;
      }
    }
    operations.push_back(std::move(op));
  }
  return operations;
}

// Equal keys mean equal roots: all that the operations do, without who asked for them.
std::string key_of(const std::vector<Operation>& operations) {
  std::string key;
  const auto number = [&](std::uint64_t value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto text = [&](const std::string& value) {
    number(value.size());
    key += value;
  };
  for (const Operation& op : operations) {
    number(static_cast<std::uint64_t>(op.step));
    text(op.target);
    text(op.text);
    number(op.number);
    number(op.inodes);
    number(std::uint64_t{op.flags} << 32 | op.mode);
  }
  return key;
}

// Whoever enters the namespace must stand on the root that was made, and nowhere else: were anything of the old root
// left on top of it, a sandbox would be on the host.
std::optional<SetupFailure> check_root(int mount_namespace, int root) {
  struct stat made{}, found{};
  if (::setns(mount_namespace, CLONE_NEWNS) != 0 || ::stat("/", &found) != 0 || ::fstat(root, &made) != 0)
    return failure(Step::pivot, Error{.operation = "look at the new root", .code = errno});
  if (found.st_dev == made.st_dev && found.st_ino == made.st_ino) return std::nullopt;
  return failure(Step::pivot, Error{.operation = "pivot", .detail = "the root is not the one that was made"});
}

// For the length of a block: modes of the tree are meant as they stand.
class OpenUmask {
 public:
  OpenUmask() : saved_(::umask(022)) {}
  ~OpenUmask() { ::umask(saved_); }
  OpenUmask(const OpenUmask&) = delete;
  OpenUmask& operator=(const OpenUmask&) = delete;

 private:
  mode_t saved_;
};

}  // namespace

Result<PreparedRoots> PreparedRoots::open() {
  PreparedRoots roots;
  BULKHEAD_ASSIGN(roots.home_, open_file("/proc/self/ns/mnt", O_RDONLY));
  // Where it may not be entered (a filter above us), better now than with no way back.
  if (::setns(roots.home_.get(), CLONE_NEWNS) != 0) return errno_error("enter own mount namespace");
  return roots;
}

std::vector<PreparedRoots::Source> PreparedRoots::look_at_sources(const std::vector<Operation>& operations) {
  std::vector<Source> sources;
  for (const Operation& op : operations) {
    if (op.step != Step::bind && op.step != Step::root_bind && op.step != Step::root_layer) continue;
    struct stat st{};
    if (::lstat(op.text.c_str(), &st) != 0) st = {};
    sources.push_back({op.text, st.st_dev, st.st_ino});
  }
  return sources;
}

std::expected<PreparedRoots::Root, SetupFailure> PreparedRoots::root_for(const LaunchPlan& plan,
                                                                         const OwnBinds& binds) {
  Root root;
  while (root.operations < plan.operations.size() && plan.operations[root.operations].step != Step::pivot)
    ++root.operations;
  if (root.operations++ == plan.operations.size())
    return std::unexpected(failure(Step::pivot, Error{.operation = "plan", .detail = "has no pivot"}));
  const std::vector<Operation> operations = root_operations(plan, root.operations, binds);
  const std::string key = key_of(operations);
  auto found = roots_.find(key);
  if (found != roots_.end() && found->second.sources != look_at_sources(operations)) {
    roots_.erase(found);
    found = roots_.end();
  }
  if (found == roots_.end()) {
    if (roots_.size() >= kMost)
      roots_.erase(std::min_element(roots_.begin(), roots_.end(),
                                    [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
    auto made = make(operations);
    if (!made) return std::unexpected(std::move(made.error()));
    found = roots_.emplace(key, std::move(*made)).first;
  }
  found->second.used = Clock::now();
  root.mount_namespace = found->second.mount_namespace.get();
  return root;
}

std::expected<PreparedRoots::Entry, SetupFailure> PreparedRoots::make(const std::vector<Operation>& operations) const {
  Entry entry;
  entry.sources = look_at_sources(operations);
  ChildOperations children;
  for (const Operation& op : operations) children.add(op);
  const OpenUmask modes;
  if (::unshare(CLONE_NEWNS) != 0)
    return std::unexpected(failure(Step::new_namespaces, Error{.operation = "unshare mounts", .code = errno}));
  auto mount_namespace = open_file("/proc/self/ns/mnt", O_RDONLY);
  std::optional<SetupFailure> failed;
  if (!mount_namespace) failed = failure(Step::new_namespaces, mount_namespace.error());
  Tree tree;
  for (std::size_t i = 0; i < children.all().size() && !failed; ++i)
    if (perform_on_tree(tree, children.all()[i]) != 0) failed = children.explain(i, errno);
  if (!failed) failed = check_root(mount_namespace->get(), tree.root);
  for (const int fd : {tree.root, tree.null})
    if (fd >= 0) ::close(fd);
  leave();
  if (failed) return std::unexpected(std::move(*failed));
  entry.mount_namespace = std::move(*mount_namespace);
  return entry;
}

Result<> PreparedRoots::enter(const Root& root) const {
  if (::setns(root.mount_namespace, CLONE_NEWNS) != 0) return errno_error("enter prepared root");
  return {};
}

void PreparedRoots::leave() const {
  if (::setns(home_.get(), CLONE_NEWNS) == 0) return;
  // Elsewhere than at home no path means what it says: there is no going on.
  std::perror("bulkhead-launcher: return to its own mount namespace");
  std::abort();
}

std::optional<Clock::time_point> PreparedRoots::drop_unused(Clock::time_point now) {
  std::optional<Clock::time_point> next;
  std::erase_if(roots_, [&](const auto& root) { return now - root.second.used >= kKeepUnused; });
  for (const auto& [key, entry] : roots_) {
    const auto due = entry.used + kKeepUnused;
    next = next ? std::min(*next, due) : due;
  }
  return next;
}

}  // namespace bulkhead
