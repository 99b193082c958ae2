#include "supervisor/core/workspaces/worker_protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {
namespace {

using nlohmann::json;
using testing::ElementsAre;

const ObjectId a(40, 'a');
const ObjectId b(40, 'b');

template <class Request>
std::string refusal(std::vector<std::string> options) {
  const auto request = parse_worker_request<Request>(options);
  if (request) return "accepted";
  return request.error().text() + (request.error().hint.empty() ? "" : " [" + request.error().hint + "]");
}

template <class Request>
void expect_round_trip(const Request& request) {
  const auto argv = worker_argv(request, 3);
  ASSERT_GE(argv.size(), 4U);
  EXPECT_EQ(argv[0], "bulkhead-worker");
  EXPECT_EQ(argv[1], Request::subcommand);
  EXPECT_EQ(argv[2], "--facts-fd");
  EXPECT_EQ(argv[3], "3");
  const std::vector<std::string> options(argv.begin() + 4, argv.end());
  const auto parsed = parse_worker_request<Request>(options);
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(*parsed, request);
}

TEST(WorkerProtocol, ArgvIsWhatTheWorkerReads) {
  const PackRequest pack{.git_dir = "/r/.git", .tip = a, .exclude = {b}, .pack = "fd:1"};
  EXPECT_THAT(worker_argv(pack), ElementsAre("bulkhead-worker", "pack", "--git-dir", "/r/.git", "--tip", a, "--exclude",
                                             b, "--pack", "fd:1"));
}

TEST(WorkerProtocol, EveryRequestSurvivesTheWay) {
  expect_round_trip(InspectRequest{.repository = "/r", .base = "--upload-pack=x", .target = "t", .config_home = "/h"});
  expect_round_trip(PackRequest{.git_dir = "/g", .tip = a, .exclude = {b, a}, .pack = "/out/p", .shallow = "/out/s"});
  expect_round_trip(RegisterRequest{.git_dir = "/g", .run = "r", .agent = "x", .base = a, .stub = "/s"});
  expect_round_trip(UnregisterRequest{.git_dir = "/g",
                                      .run = "r",
                                      .agent = "x",
                                      .branch = RefFate::remove,
                                      .pin = RefFate::keep,
                                      .only_if = a,
                                      .stub = "/s"});
  expect_round_trip(
      IngestRequest{.git_dir = "/g", .run = "r", .agent = "x", .base = a, .tip = b, .old = a, .pack = "fd:0"});
  expect_round_trip(MergePrepareRequest{
      .git_dir = "/g", .ours = a, .tip = b, .message = "One\n\nTwo", .name = "N", .email = "e", .time = 7});
  expect_round_trip(MergeCommitRequest{.git_dir = "/g",
                                       .target = "refs/heads/t",
                                       .expect_old = "",
                                       .commit = a,
                                       .reason = "why",
                                       .name = "N",
                                       .email = "e"});
  expect_round_trip(
      MakeBaseRequest{.pack = "fd:0", .shallow = "fd:4", .base = a, .object_format = "sha1", .tree = "/t"});
  expect_round_trip(
      MaterializeRequest{.workspace = "/w", .base_tree = "/b", .pack = "fd:0", .commit = a, .branch = "x/y"});
  expect_round_trip(FinishRequest{.workspace = "/w",
                                  .base_tree = "/b",
                                  .branch = "x",
                                  .base = a,
                                  .name = "N",
                                  .email = "e",
                                  .message = "m",
                                  .max_bytes = 5});
  expect_round_trip(HeadRequest{.workspace = "/w", .base_tree = "/b", .branch = "x", .base = a});
  expect_round_trip(ExportRequest{
      .workspace = "/w", .base_tree = "/b", .branch = "x", .base = a, .pack = "fd:1", .max_bytes = 1, .max_paths = 2});
  expect_round_trip(
      CopyTreeRequest{.from = "/f", .to = "/t", .exclude = {".cache", "a b"}, .max_bytes = 1, .max_files = 2});
  expect_round_trip(RemoveTreeRequest{.directory = "/d"});
  expect_round_trip(HostLookRequest{.paths = "fd:3"});
}

TEST(WorkerProtocol, OptionsAreStrict) {
  EXPECT_EQ(refusal<RemoveTreeRequest>({}), "read option --directory: missing");
  EXPECT_EQ(refusal<RemoveTreeRequest>({"--directory"}), "read option --directory: has no value");
  EXPECT_EQ(refusal<RemoveTreeRequest>({"/d", "x"}), "read option /d: options begin with --");
  EXPECT_EQ(refusal<RemoveTreeRequest>({"--directory", "d"}), "read option --directory: expected an absolute path");
  EXPECT_EQ(refusal<RemoveTreeRequest>({"--directory", "/d", "--directory", "/e"}),
            "read option --directory: given more than once");
  EXPECT_EQ(refusal<RemoveTreeRequest>({"--directory", "/d", "--directry", "/e"}),
            "read option --directry: unknown to remove-tree [did you mean --directory?]");
  EXPECT_EQ(refusal<HeadRequest>({"--workspace", "/w", "--base-tree", "/b", "--branch", "x", "--base", "HEAD"}),
            "read option --base: expected a full object id");
  EXPECT_EQ(refusal<CopyTreeRequest>({"--from", "/f", "--to", "/t", "--max-bytes", "-1"}),
            "read option --max-bytes: expected a whole number");
  EXPECT_EQ(refusal<RegisterRequest>({"--git-dir", "/g", "--run", "../r", "--agent", "a", "--base", a, "--stub", "/s"}),
            "read option --run: expected a name ([a-z0-9][a-z0-9._-]{0,62})");
  EXPECT_EQ(refusal<UnregisterRequest>({"--git-dir", "/g", "--run", "r", "--agent", "a", "--branch", "burn"}),
            "read option --branch: unknown word 'burn'");
  for (const char* stream : {"fd:", "fd:x", "fd:-1", "fd:123456789", "out", "fd:1 "}) {
    EXPECT_EQ(refusal<PackRequest>({"--git-dir", "/g", "--tip", a, "--pack", stream}),
              "read option --pack: expected an absolute path or fd:N");
  }
}

ExportFacts some_facts() {
  return {.tip = a,
          .on_branch = false,
          .descends = true,
          .commits = 2,
          .objects = 7,
          .pack_bytes = 900,
          .paths = {{.path = "a\\x0ab", .status = "M", .mode = "100644", .added = 3, .removed = 1, .binary = false}},
          .paths_total = 9,
          .added_total = 5,
          .removed_total = 6};
}

TEST(WorkerProtocol, FactsSurviveTheWay) {
  const auto facts = parse_worker_facts<ExportFacts>(worker_facts_json(some_facts()));
  ASSERT_TRUE(facts) << facts.error().text();
  EXPECT_EQ(*facts, some_facts());

  const MergeFacts merge{
      .outcome = MergeOutcome::conflict, .conflicts = {"a"}, .conflicts_total = 4, .messages = {"m"}};
  EXPECT_EQ(parse_worker_facts<MergeFacts>(worker_facts_json(merge)), merge);
  const InspectFacts inspect{.git_dir = "/r/.git",
                             .common_dir = "/r/.git",
                             .object_format = "sha1",
                             .base = a,
                             .worktrees = {{.path = "/r", .branch = "main", .locked = true}},
                             .committer_name = "N",
                             .committer_email = "e"};
  EXPECT_EQ(parse_worker_facts<InspectFacts>(worker_facts_json(inspect)), inspect);
}

std::string refusal_of_facts(const std::function<void(json&)>& change) {
  json document = json::parse(worker_facts_json(some_facts()));
  change(document);
  const auto facts = parse_worker_facts<ExportFacts>(document.dump());
  return facts ? "accepted" : facts.error().text();
}

// Whatever the names are, as much as is told fits into one answer.
TEST(WorkerProtocol, WhatTheHostHasFitsIntoAnAnswer) {
  char directory[] = "/tmp/bulkhead-look.XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  std::vector<std::string> paths;
  for (int i = 0; i < 600; ++i) {
    paths.push_back(std::string(directory) + "/" + std::string(static_cast<std::size_t>(i % 100), '"') +
                    std::to_string(i));
    std::ofstream(paths.back()) << "x";
  }
  const std::string fooling = std::string(directory) + "/\x1b[31m";
  std::ofstream(fooling) << "x";
  paths.insert(paths.begin(), fooling);
  const HostLook look = look_at_host(paths);
  EXPECT_TRUE(look.more);
  EXPECT_GT(look.paths.size(), 20U);
  const std::string answer = worker_facts_json(look);
  EXPECT_LE(answer.size(), max_worker_facts);
  EXPECT_EQ(parse_worker_facts<HostLook>(answer).value(), look);
  for (const HostPath& path : look.paths) EXPECT_NE(path.wanted, fooling);
  std::filesystem::remove_all(directory);
}

TEST(WorkerProtocol, FactsAreStrictAndBounded) {
  EXPECT_EQ(refusal_of_facts([](json&) {}), "accepted");
  EXPECT_EQ(refusal_of_facts([](json& d) { d.erase("commits"); }),
            "read the worker's answer commits: expected it to be there");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["more"] = 1; }),
            "read the worker's answer: expected no member but the known ones");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["tip"] = "HEAD"; }),
            "read the worker's answer tip: expected a full object id");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["commits"] = -1; }),
            "read the worker's answer commits: expected a whole number");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["commits"] = 1.5; }),
            "read the worker's answer commits: expected a whole number");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["descends"] = "yes"; }),
            "read the worker's answer descends: expected true or false");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["paths"] = json::array({1}); }),
            "read the worker's answer paths: expected a list of objects");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["paths"][0]["path"] = "\x1b[2J"; }),
            "read the worker's answer path: expected a text of at most 4096 bytes");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["paths"][0]["path"] = std::string(4097, 'x'); }),
            "read the worker's answer path: expected a text of at most 4096 bytes");
  EXPECT_EQ(refusal_of_facts([](json& d) { d["paths"] = std::vector<json>(1025, json::object()); }),
            "read the worker's answer paths: expected a bounded list");
  EXPECT_EQ(parse_worker_facts<HeadFacts>(std::string(max_worker_facts + 1, ' ')).error().text(),
            "read the worker's answer: longer than 65536 bytes");
  for (const char* text : {"", "[]", "{", "{} {}", "null", "{\"a\":\"\xff\"}"}) {
    EXPECT_EQ(parse_worker_facts<HeadFacts>(text).error().text(), "read the worker's answer: not a JSON object")
        << text;
  }
  EXPECT_FALSE(parse_worker_facts<HeadFacts>(std::string(60000, '[')));
}

TEST(WorkerProtocol, AnErrorComesBackAsTheErrorItWas) {
  const Error error{.operation = "open", .object = "/r", .code = ENOENT, .detail = "gone", .hint = "look"};
  const auto facts = parse_worker_facts<HeadFacts>(worker_error_json(error));
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().text(), "open /r: No such file or directory (gone)");
  EXPECT_EQ(facts.error().hint, "look");
}

TEST(WorkerProtocol, AnErrorFromAWorkerIsDataToo) {
  const auto facts = parse_worker_facts<HeadFacts>(R"({"error":{"operation":"a\u001b[2J","object":7,"code":99999}})");
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().text(), "a\\x1b[2J");
  EXPECT_EQ(parse_worker_facts<HeadFacts>(R"({"error":{}})").error().text(), "run bulkhead-worker");
}

TEST(WorkerProtocol, TheSeedOfAWorkspaceStandsOnItsBranch) {
  EXPECT_THAT(
      workspace_seed("bulkhead/r1/x", a),
      ElementsAre(SeedEntry{".git", true, ""}, SeedEntry{".git/refs", true, ""}, SeedEntry{".git/refs/heads", true, ""},
                  SeedEntry{".git/refs/heads/bulkhead", true, ""}, SeedEntry{".git/refs/heads/bulkhead/r1", true, ""},
                  SeedEntry{".git/refs/heads/bulkhead/r1/x", false, a + "\n"},
                  SeedEntry{".git/HEAD", false, "ref: refs/heads/bulkhead/r1/x\n"}));
  EXPECT_EQ(agent_branch("r1", "x"), "bulkhead/r1/x");
  EXPECT_EQ(agent_pin("r1", "x"), "refs/bulkhead/r1/x/tip");
  EXPECT_EQ(agent_worktree_entry("r1", "x"), "bulkhead-r1-x");
}

}  // namespace
}  // namespace bulkhead
