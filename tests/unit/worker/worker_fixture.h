// Real git repositories in a temporary directory, and the worker's own binary run on them as an ordinary process.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/workspaces/worker_protocol.h"
#include "supervisor/worker/process.h"

namespace bulkhead {

// The text of the error and its hint, or "no error".
template <class T>
std::string error_of(const Result<T>& result) {
  if (result) return "no error";
  return result.error().text() + (result.error().hint.empty() ? "" : " [" + result.error().hint + "]");
}

class WorkerTest : public testing::Test {
 protected:
  WorkerTest();
  ~WorkerTest() override;

  std::string path(std::string_view name) const { return top_ + "/" + std::string(name); }

  // Runs a shell script in a directory below the temporary one ("." for itself) under a fixed identity and no
  // configuration but what the script makes; fails the test when it fails. Its output, without the last line break.
  std::string sh(std::string_view directory, const std::string& script) const;
  int status_of(std::string_view directory, const std::string& script) const;

  void write(std::string_view name, std::string_view content) const;
  std::string read(std::string_view name) const;
  bool exists(std::string_view name) const;

  // Stores raw bytes as an object of `repository`, whatever they are.
  ObjectId raw_object(std::string_view repository, const std::string& type, const std::string& content) const;
  static std::string tree_entry(std::string_view mode, std::string_view name, std::string_view id);  // as in a tree

  template <class Request>
  Result<typename Request::Facts> work(const Request& request) const {
    const Result<Finished> finished = run_worker(worker_argv(request));
    if (!finished) return std::unexpected(finished.error());
    const auto facts = parse_worker_facts<typename Request::Facts>(finished->output);
    EXPECT_EQ(finished->status, facts ? 0 : 1) << finished->output << finished->errors;
    EXPECT_EQ(finished->errors, "");
    return facts;
  }
  static Result<Finished> run_worker(std::vector<std::string> argv);

 private:
  std::string top_;
};

// A repository `r` with two commits on main, the base of HEAD in `base`, and an agent's workspace `ws` on it.
class AgentTest : public WorkerTest {
 protected:
  AgentTest();
  void make_workspace(const std::string& name) const;

  // Commits `script`'s changes in the workspace as its agent would; the new commit.
  ObjectId commit(const std::string& script) const;

  Result<HeadFacts> head() const;
  Result<FinishFacts> finish(std::uint64_t max_bytes = 1 << 20) const;
  Result<ExportFacts> export_to(const std::string& pack) const;
  ExportRequest export_request(const std::string& pack) const;
  IngestRequest ingest_request(const std::string& pack, const ObjectId& tip) const;
  void register_agent() const;

  std::string branch = "bulkhead/r1/a";
  ObjectId base;
};

}  // namespace bulkhead
