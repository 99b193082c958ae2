#include "tests/unit/worker/worker_fixture.h"

#include <fcntl.h>
#include <stdlib.h>

#include "sandbox/sys/files.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {

WorkerTest::WorkerTest() {
  top_ = testing::TempDir() + "bulkhead-worker-test-XXXXXX";
  if (::mkdtemp(top_.data()) == nullptr) ADD_FAILURE() << "cannot make " << top_;
}

WorkerTest::~WorkerTest() {
  const auto emptied = remove_tree_contents({.directory = top_});
  EXPECT_TRUE(emptied) << emptied.error().text();
  const auto removed = remove_tree(top_);
  EXPECT_TRUE(removed) << removed.error().text();
}

namespace {
Result<Finished> shell(const std::string& home, const std::string& directory, const std::string& script,
                       std::string_view input = {}) {
  return run_process({.argv = {"bash", "-euc", script},
                      .environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "LC_ALL=C",
                                      "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@test",
                                      "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@test",
                                      "GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000"},
                      .directory = directory,
                      .input = input,
                      .output_limit = 16 << 20});
}
}  // namespace

std::string WorkerTest::sh(std::string_view directory, const std::string& script) const {
  auto finished = shell(top_, path(directory), script);
  if (!finished) {
    ADD_FAILURE() << finished.error().text();
    return {};
  }
  EXPECT_EQ(finished->status, 0) << script << "\n" << finished->output << finished->errors;
  if (finished->output.ends_with('\n')) finished->output.pop_back();
  return finished->output;
}

int WorkerTest::status_of(std::string_view directory, const std::string& script) const {
  const auto finished = shell(top_, path(directory), script);
  return finished ? finished->status : -1;
}

void WorkerTest::write(std::string_view name, std::string_view content) const {
  const auto written = write_file_atomic(path(name), content, 0644);
  EXPECT_TRUE(written) << written.error().text();
}

std::string WorkerTest::read(std::string_view name) const {
  const auto content = read_file(path(name));
  EXPECT_TRUE(content) << content.error().text();
  return content.value_or("");
}

bool WorkerTest::exists(std::string_view name) const { return bulkhead::exists(path(name)); }

ObjectId WorkerTest::raw_object(std::string_view repository, const std::string& type,
                                const std::string& content) const {
  const auto finished = shell(top_, path(repository), "git hash-object -w --literally --stdin -t " + type, content);
  EXPECT_TRUE(finished && finished->status == 0);
  return finished ? finished->output.substr(0, finished->output.find('\n')) : "";
}

std::string WorkerTest::tree_entry(std::string_view mode, std::string_view name, std::string_view id) {
  std::string entry = std::string(mode) + " " + std::string(name) + '\0';
  for (std::size_t i = 0; i + 1 < id.size(); i += 2) {
    entry += static_cast<char>(std::stoi(std::string(id.substr(i, 2)), nullptr, 16));
  }
  return entry;
}

Result<Finished> WorkerTest::run_worker(std::vector<std::string> argv) {
  argv.front() = BULKHEAD_WORKER;
  return run_process({.argv = std::move(argv), .environment = {}, .directory = "/"});
}

AgentTest::AgentTest() {
  sh(".", R"(
    git init -q -b main r; cd r
    mkdir d; for i in 1 2 3 4 5; do echo "line $i" > d/f$i; done
    ln -s d/f1 link; echo '#!/bin/sh' > run.sh; chmod +x run.sh; echo '*.o' > .gitignore
    git add -A; git commit -qm one
    echo two >> d/f1; git commit -qam two)");
  base = sh("r", "git rev-parse HEAD");
  const auto packed = work(PackRequest{.git_dir = path("r/.git"), .tip = base, .pack = path("base.pack")});
  EXPECT_TRUE(packed) << error_of(packed);
  sh(".", "mkdir base");
  const auto made =
      work(MakeBaseRequest{.pack = path("base.pack"), .base = base, .object_format = "sha1", .tree = path("base")});
  EXPECT_TRUE(made) << error_of(made);
  make_workspace("ws");
}

// What an overlay of the base would show, seeded as the supervisor does.
void AgentTest::make_workspace(const std::string& name) const {
  sh(".", "cp -a base " + name);
  for (const SeedEntry& entry : workspace_seed(branch, base)) {
    if (entry.directory) {
      EXPECT_TRUE(make_directory(path(name + "/" + entry.path), 0755));
    } else {
      write(name + "/" + entry.path, entry.content);
    }
  }
}

ObjectId AgentTest::commit(const std::string& script) const {
  sh("ws", script + "\ngit add -A; git commit -qm 'by the agent'");
  return sh("ws", "git rev-parse HEAD");
}

Result<HeadFacts> AgentTest::head() const {
  return work(HeadRequest{.workspace = path("ws"), .base_tree = path("base"), .branch = branch, .base = base});
}

Result<FinishFacts> AgentTest::finish(std::uint64_t max_bytes) const {
  return work(FinishRequest{.workspace = path("ws"),
                            .base_tree = path("base"),
                            .branch = branch,
                            .base = base,
                            .name = "Bulkhead",
                            .email = "b@test",
                            .message = "Uncommitted changes of a",
                            .max_bytes = max_bytes});
}

ExportRequest AgentTest::export_request(const std::string& pack) const {
  return {.workspace = path("ws"), .base_tree = path("base"), .branch = branch, .base = base, .pack = path(pack)};
}

Result<ExportFacts> AgentTest::export_to(const std::string& pack) const { return work(export_request(pack)); }

IngestRequest AgentTest::ingest_request(const std::string& pack, const ObjectId& tip) const {
  return {.git_dir = path("r/.git"),
          .run = "r1",
          .agent = "a",
          .base = base,
          .tip = tip,
          .old = base,
          .pack = pack.empty() ? "" : path(pack)};
}

void AgentTest::register_agent() const {
  const auto registered = work(
      RegisterRequest{.git_dir = path("r/.git"), .run = "r1", .agent = "a", .base = base, .stub = "/nowhere/stub"});
  EXPECT_TRUE(registered) << error_of(registered);
}

}  // namespace bulkhead
