#include "supervisor/core/workspaces/worker_serving.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead {
namespace {

using testing::ElementsAre;
using namespace std::string_literals;

TEST(WorkerServing, WordsSurviveTheWay) {
  const std::vector<std::string> words{"register", "", "--base", "line\nbreak and \xff"};
  const auto parsed = parse_worker_message(worker_message(words));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, words);
}

TEST(WorkerServing, ARequestIsItsSubcommandAndOptions) {
  const ObjectId a(40, 'a');
  const auto words = parse_worker_message(
      worker_message_of(RegisterRequest{.git_dir = "/g", .run = "r", .agent = "x", .base = a, .stub = "/s"}));
  ASSERT_TRUE(words);
  EXPECT_THAT(*words,
              ElementsAre("register", "--git-dir", "/g", "--run", "r", "--agent", "x", "--base", a, "--stub", "/s"));
}

TEST(WorkerServing, RefusesWhatIsCutShort) {
  for (const std::string& message : {""s, "register"s, "register\0--run"s})
    EXPECT_EQ(parse_worker_message(message).error().text(), "read request: it has no end");
}

}  // namespace
}  // namespace bulkhead
