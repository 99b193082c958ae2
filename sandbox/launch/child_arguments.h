// Everything a child reads between clone and exec, in plain words, kept alive and unmoving until the clone has
// returned.
#pragma once

#include <deque>
#include <expected>
#include <string>
#include <vector>

#include "sandbox/launch/child.h"
#include "sandbox/launch/own_binds.h"
#include "sandbox/launch/sandbox.h"
#include "sandbox/plan/plan.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

// Operations of a plan as ChildOperations: owns their strings.
class ChildOperations {
 public:
  ChildOperation& add(const Operation& op);  // the reference holds until the next one
  ChildOperation& last() { return operations_.back(); }
  void remove_last() { operations_.pop_back(); }
  const std::vector<ChildOperation>& all() const { return operations_; }
  const char* keep(std::string text);
  // What the child said of the operation at `index`, as the error every layer prints.
  SetupFailure explain(std::size_t index, int code) const;

 private:
  std::vector<ChildOperation> operations_;
  std::deque<std::string> strings_;  // addresses stay
};

// A directory as a standard stream, even one opened with O_PATH, would be a way out of the root (CVE-2024-21626).
Result<> refuse_directories(const Stdio& stdio);

struct ChildArguments {
  ChildContext context;
  ChildOperations operations;
  std::vector<gid_t> groups;
  std::vector<int> v1_tasks;
  std::vector<Fd> high;  // descriptors at or above kFirstPrivateFd
  std::vector<DescriptorMove> moves;
  std::vector<std::string> words;
  std::vector<char*> argv, environment;

  // The identity the plan asks for: host ids of what the sandbox owns, ids to become, groups.
  void set_identity(const LaunchPlan& plan);
  // The operations `from` on, with the sources of their binds, which must live as long as this.
  std::expected<void, SetupFailure> set_operations(const LaunchPlan& plan, std::size_t from, const OwnBinds& binds);
  void set_command(const CommandSpec& command, std::string mode, std::uint64_t output_bytes);
  void set_v1_tasks(const std::vector<Fd>& tasks);
  // Of a plan that learns: the filter of its command, and the file that init writes paths to.
  Result<> set_learning(const std::vector<sock_filter>& program, int paths);
  // Last: what the child needs is moved out of the way of the descriptors that are put in place.
  Result<> set_descriptors(const Stdio& stdio, int record, int guests = -1);
  SetupFailure failure() const;  // after context.failed_errno was set

 private:
  Result<> set_bind(const OwnBind& bind, bool root_has_it);  // of the last operation
  Result<> place(int from, int to);
  Result<> keep_high(int& fd);
};

}  // namespace bulkhead
