#include "supervisor/core/api/messages.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

using nlohmann::json;

RunRequest a_run() {
  return {.run = "20261120-093027-ab12",
          .workflow = {{"version", 1}, {"tasks", {{"a", {{"command", "true"}}}}}},
          .workflow_file = "/home/ann/flow.yaml",
          .repository = "/home/ann/project",
          .policies = {{"default", {.document = {{"version", 1}}, .file = ""}}},
          .seccomp = {{"default", {{"defaultAction", "SCMP_ACT_ERRNO"}}}},
          .caller = {.uid = 1000,
                     .gid = 1000,
                     .groups = {4, 1000},
                     .user = "ann",
                     .home = "/home/ann",
                     .environment = {{"PATH", "/usr/bin"}, {"LANG", "C.UTF-8"}}},
          .keep_workspaces = KeepWorkspaces::yes};
}

template <class T>
void expect_round_trip(const T& message) {
  auto line = encode(message);
  ASSERT_TRUE(line) << line.error().text();
  ASSERT_TRUE(line->ends_with('\n'));
  EXPECT_EQ(line->find('\n'), line->size() - 1) << "one line";
  std::string_view text = std::string_view(*line).substr(0, line->size() - 1);
  if constexpr (std::is_same_v<T, Request>) {
    auto back = decode_request(text);
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, message);
  } else {
    auto back = decode_reply(text);
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, message);
  }
}

std::string refusal(const std::string& line) {
  auto got = decode_request(line);
  if (got) return "accepted";
  return got.error().text() + (got.error().hint.empty() ? "" : " | " + got.error().hint);
}

TEST(ControlMessages, EveryRequestSurvivesTheWire) {
  expect_round_trip<Request>(a_run());
  expect_round_trip<Request>(CancelRequest{"r"});
  expect_round_trip<Request>(KillRequest{"r", "a"});
  expect_round_trip<Request>(StatusRequest{});
  expect_round_trip<Request>(
      ShellRequest{.run = "r", .agent = "a", .argv = {"ls", "a b\n"}, .terminal = {}, .term = ""});
  expect_round_trip<Request>(
      ShellRequest{.run = "r", .agent = "a", .argv = {}, .terminal = TerminalSize{50, 200}, .term = "xterm"});
  expect_round_trip<Request>(SubscribeRequest{"r"});
}

TEST(ControlMessages, EveryReplySurvivesTheWire) {
  expect_round_trip<Reply>(ReadyReply{4711});
  expect_round_trip<Reply>(AcceptedReply{"r"});
  expect_round_trip<Reply>(EventReply{{{"type", "agent_exited"}, {"text", "line one\nline two \x1b[31m"}}});
  expect_round_trip<Reply>(FinishedReply{"r", "done", 0});
  expect_round_trip<Reply>(StatusReply{.pid = 1, .version = "0.1.0", .once = true, .runs = {"r", "s"}});
  expect_round_trip<Reply>(ErrorReply{.text = "no", .hint = "try again", .exit_code = 3});
}

TEST(ControlMessages, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refusal(R"({"verb":"reboot"})"),
            "read message: unknown verb 'reboot', expected 'run', 'cancel', 'kill', 'status', 'shell' or 'subscribe'");
  EXPECT_EQ(refusal(R"({"verb":"cancel","run":"r","force":true})"), "read message cancel: unknown key 'force'");
  EXPECT_EQ(refusal(R"({"verb":"cancel","run":"r","rnu":"r"})"),
            "read message cancel: unknown key 'rnu' | did you mean 'run'?");
  EXPECT_EQ(refusal(R"({"verb":"cancel"})"), "read message cancel: key 'run' is missing");
  EXPECT_EQ(refusal(R"({"verb":"cancel","run":7})"), "read message cancel: key 'run' is not text");
  EXPECT_EQ(refusal(R"(["verb"])"), refusal(R"({"verb":""})"));
  EXPECT_EQ(refusal("verb"), "read message: it is not JSON: verb");
  EXPECT_EQ(refusal(R"({"verb":"cancel","run":"r"} x)").substr(0, 28), "read message: it is not JSON");
}

TEST(ControlMessages, RefusesNumbersOutOfRange) {
  json message = to_json(Request(a_run()));
  message["caller"]["uid"] = -1;
  EXPECT_EQ(refusal(message.dump()), "read message caller: key 'uid' is not a whole number from 0 to 4294967295");
  message["caller"]["uid"] = 4294967295u;  // means "leave as it is" to setresuid
  EXPECT_EQ(refusal(message.dump()), "read message caller: key 'uid' is not a user id");
  message["caller"]["uid"] = 4294967296u;
  EXPECT_EQ(refusal(message.dump()), "read message caller: key 'uid' is not a whole number from 0 to 4294967295");
  message["caller"]["uid"] = 1000.5;
  EXPECT_EQ(refusal(message.dump()), "read message caller: key 'uid' is not a whole number from 0 to 4294967295");
}

TEST(ControlMessages, RefusesNamesThatAreNotNames) {
  json message = to_json(Request(a_run()));
  for (const char* bad : {"", "latest", "../x", "a..b", "A", "a/b", "x.lock", "x.", "-a"}) {
    message["run"] = bad;
    EXPECT_NE(refusal(message.dump()), "accepted") << bad;
  }
  message["run"] = "fix-bugs.2";
  EXPECT_EQ(refusal(message.dump()), "accepted");
  message["repository"] = "project";
  EXPECT_EQ(refusal(message.dump()), "read message run: key 'repository' is not an absolute path");
}

TEST(ControlMessages, BoundsLengthAndDepth) {
  RunRequest run = a_run();
  run.caller.environment["LONG"] = std::string(kMaxLine, 'x');
  auto line = encode(Request(run));
  ASSERT_FALSE(line);
  EXPECT_TRUE(line.error().text().ends_with("bytes, more than 1 MiB")) << line.error().text();

  EXPECT_EQ(refusal(std::string(kMaxLine, ' ')), "read message: it is longer than 1 MiB");
  EXPECT_EQ(refusal(std::string(100'000, '[')), "read message: it is nested deeper than 64 levels");
  EXPECT_NE(refusal("\"" + std::string(1000, '[') + "\""), refusal(std::string(1000, '[')))
      << "brackets in text do not nest";
}

TEST(ControlMessages, RefusesTextThatIsNotUtf8) {
  auto line = encode(Request(ShellRequest{.run = "r", .agent = "a", .argv = {"\xff"}, .terminal = {}, .term = ""}));
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().text(), "send message: it holds text that is not UTF-8");
}

}  // namespace
}  // namespace bulkhead
