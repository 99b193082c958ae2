// What a launcher finds of sandboxes that ended while nobody listened, whole or torn. Needs no privilege.
#include "sandbox/launch/exit_records.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "sandbox/init/init_protocol.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

class ExitRecordsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(state_.data()), nullptr);
    ASSERT_TRUE(make_directory(exits(), 0700));
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(state_)); }
  std::string exits() const { return state_ + "/exits"; }
  void write(const std::string& name, std::string_view content) const {
    ASSERT_TRUE(write_file_atomic(exits() + "/" + name, content));
  }
  // By a launcher that comes next.
  ExitRecords next() const {
    ExitRecords records(state_);
    const auto read = records.read();
    EXPECT_TRUE(read) << read.error().text();
    return records;
  }
  static std::string said_by_init(int exit_code) {
    InitRecord record{};
    record.magic = kInitRecordMagic;
    record.outcome = InitOutcome::exited;
    record.value = exit_code;
    return {reinterpret_cast<const char*>(&record), sizeof record};
  }
  std::string state_ = "/tmp/bulkhead-test-XXXXXX";
};

TEST_F(ExitRecordsTest, TheNextLauncherKnowsThemUntilTheyAreForgotten) {
  ExitRecords records(state_);
  ExitRecord record;
  record.id = "run/agent/1";
  record.reason = EndReason::exited;
  record.exit_code = 7;
  records.keep(record);
  EXPECT_EQ(next().all().at("run/agent/1"), record);
  EXPECT_EQ(list_directory(exits()).value(), std::vector<std::string>{"run~agent~1.json"});
  records.forget("run/agent/1");
  EXPECT_TRUE(next().all().empty());
}

TEST_F(ExitRecordsTest, OfATornOneInitsIsWhatIsLeft) {
  write("run~agent~1.json", R"({"id": "run/agent/1", "reas)");
  write("run~agent~1.init", said_by_init(9));
  EXPECT_EQ(next().all().at("run/agent/1").exit_code, 9);
  EXPECT_EQ(list_directory(exits()).value(), std::vector<std::string>{"run~agent~1.init"});
  EXPECT_EQ(next().all().at("run/agent/1").exit_code, 9);
}

// A further command has no record of init's.
TEST_F(ExitRecordsTest, ATornOneThatInitHasNoneForIsLost) {
  write("guest.json", "");
  write("wrong.json", R"({"id": 5})");
  const ExitRecords records = next();
  ASSERT_EQ(records.all().size(), 2u);
  EXPECT_EQ(records.all().at("guest").reason, EndReason::lost);
  EXPECT_EQ(records.all().at("guest").id, "guest");
  EXPECT_EQ(records.all().at("wrong").reason, EndReason::lost);
}

TEST_F(ExitRecordsTest, OneThatWasBeingWrittenIsNotTaken) {
  write("run~agent~1.init", said_by_init(3));
  write("run~agent~1.json.new", "{");
  EXPECT_EQ(next().all().at("run/agent/1").exit_code, 3);
  EXPECT_EQ(list_directory(exits()).value(), std::vector<std::string>{"run~agent~1.init"});
}

}  // namespace
}  // namespace bulkhead
