#include "supervisor/core/journal/journal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/journal/counting_vfs.h"
#include "tests/unit/journal/temporary.h"

namespace bulkhead::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Event event(const std::string& run, const std::string& type, nlohmann::json body = nlohmann::json::object()) {
  return {.time_unix_ms = 1'000, .run = run, .agent = "a", .attempt = 1, .type = type, .body = std::move(body)};
}

std::string sql(const std::string& path, const char* statement) {
  sqlite3* database = nullptr;
  std::string message;
  if (sqlite3_open(path.c_str(), &database) != SQLITE_OK ||
      sqlite3_exec(database, statement, nullptr, nullptr, nullptr) != SQLITE_OK)
    message = sqlite3_errmsg(database);
  sqlite3_close(database);
  return message;
}

TEST(Journal, KeepsEventsInOrderForEveryRun) {
  const TemporaryDirectory directory;
  auto journal = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(journal) << journal.error().text();
  const auto first = journal->append(event("one", "begun", {{"n", 1}}), Durability::process);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(first->seq, 1U);
  ASSERT_TRUE(journal->append(event("two", "begun"), Durability::power));
  const auto batch = journal->append({event("one", "x"), event("one", "y")}, Durability::process);
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->back().seq, 4U);

  const auto one = journal->read("one");
  ASSERT_TRUE(one);
  ASSERT_EQ(one->size(), 3U);
  EXPECT_EQ(one->front(), *first);
  EXPECT_EQ(journal->read("one", 4)->size(), 1U);
  EXPECT_EQ(journal->read("one", 0, 2)->back().type, "x");
  EXPECT_EQ(journal->read_all()->size(), 4U);
  EXPECT_TRUE(journal->read("none")->empty());
  const auto runs = journal->runs();
  ASSERT_TRUE(runs);
  ASSERT_EQ(runs->size(), 2U);
  EXPECT_EQ(runs->front(),
            (RunListing{
                .run = "one", .first_seq = 1, .last_seq = 4, .first_time_unix_ms = 1'000, .last_time_unix_ms = 1'000}));
  EXPECT_TRUE(journal->check());
}

TEST(Journal, IsThereAgainWhenOpenedAgain) {
  const TemporaryDirectory directory;
  {
    auto journal = Journal::open(directory / "journal.db", JournalMode::write);
    ASSERT_TRUE(journal->append(event("r", "x"), Durability::process));
  }
  auto again = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->append(event("r", "y"), Durability::process)->seq, 2U);
}

TEST(Journal, IsReadWhileItIsWritten) {
  const TemporaryDirectory directory;
  auto writer = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(writer->append(event("r", "x"), Durability::process));
  auto reader = Journal::open(directory / "journal.db", JournalMode::read);
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_EQ(reader->read("r")->size(), 1U);
  ASSERT_TRUE(writer->append(event("r", "y"), Durability::process));
  EXPECT_EQ(reader->read("r")->size(), 2U);
  const auto refused = reader->append(event("r", "z"), Durability::process);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "append to journal " + (directory / "journal.db") + ": it was opened for reading");
}

TEST(Journal, IsReadWhenNobodyWritesIt) {
  const TemporaryDirectory directory;
  {
    auto writer = Journal::open(directory / "journal.db", JournalMode::write);
    ASSERT_TRUE(writer->append(event("r", "x"), Durability::process));
  }
  auto reader = Journal::open(directory / "journal.db", JournalMode::read);
  ASSERT_TRUE(reader) << reader.error().text();
  const auto events = reader->read("r");
  ASSERT_TRUE(events) << events.error().text();
  EXPECT_EQ(events->size(), 1U);
}

TEST(Journal, SurvivesTheDeathOfItsWriter) {
  const TemporaryDirectory directory;
  const pid_t child = fork();
  if (child == 0) {
    auto journal = Journal::open(directory / "journal.db", JournalMode::write);
    for (int i = 0; i < 100; ++i) (void)journal->append(event("r", "x", {{"n", i}}), Durability::process);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto reader = Journal::open(directory / "journal.db", JournalMode::read);
  ASSERT_TRUE(reader) << reader.error().text();
  EXPECT_EQ(reader->read("r")->size(), 100U);
  auto next = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(next) << next.error().text();
  EXPECT_EQ(next->append(event("r", "y"), Durability::process)->seq, 101U);
}

TEST(Journal, OnlyPowerDurableAppendsAreSynced) {
  count_log_syncs();
  const TemporaryDirectory directory;
  auto journal = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(journal->append(event("r", "x"), Durability::process));
  const unsigned before = log_syncs();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(journal->append(event("r", "x"), Durability::process));
  EXPECT_EQ(log_syncs(), before);
  ASSERT_TRUE(journal->append(event("r", "x"), Durability::power));
  EXPECT_EQ(log_syncs(), before + 1);
  ASSERT_TRUE(journal->append({event("r", "x"), event("r", "x")}, Durability::power));
  EXPECT_EQ(log_syncs(), before + 2);  // a batch is one transaction
  ASSERT_TRUE(journal->append(event("r", "x"), Durability::process));
  EXPECT_EQ(log_syncs(), before + 2);
}

TEST(Journal, ABatchIsAppendedWholeOrNotAtAll) {
  const TemporaryDirectory directory;
  auto journal = Journal::open(directory / "journal.db", JournalMode::write);
  const auto refused =
      journal->append({event("r", "x"), event("r", "y", {{"text", std::string(5'000, 'x')}})}, Durability::process);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "append y to journal " + (directory / "journal.db") +
                                        ": the body has 5011 bytes, at most 4096 are allowed");
  EXPECT_EQ(refused.error().hint, "put large content into the blob store and name it by its hash");
  EXPECT_TRUE(journal->read("r")->empty());
  EXPECT_EQ(journal->append(event("r", "x"), Durability::process)->seq, 1U);
}

TEST(Journal, TheLargestBodyFits) {
  const TemporaryDirectory directory;
  auto journal = Journal::open(directory / "journal.db", JournalMode::write);
  const std::size_t around = nlohmann::json{{"t", ""}}.dump().size();
  EXPECT_TRUE(journal->append(event("r", "x", {{"t", std::string(4'096 - around, 'x')}}), Durability::process));
  EXPECT_FALSE(journal->append(event("r", "x", {{"t", std::string(4'097 - around, 'x')}}), Durability::process));
}

TEST(Journal, TheDatabaseItselfRefusesToChangeWhatHappened) {
  const TemporaryDirectory directory;
  const std::string path = directory / "journal.db";
  auto journal = Journal::open(path, JournalMode::write);
  ASSERT_TRUE(journal->append({event("r", "x"), event("r", "y")}, Durability::process));
  EXPECT_EQ(sql(path, "UPDATE events SET body = '{}'"), "the journal is append-only: events do not change");
  EXPECT_EQ(sql(path, "DELETE FROM events"), "the journal is append-only: events are not removed");
  EXPECT_EQ(sql(path, "INSERT OR REPLACE INTO events VALUES (1, 0, 'r', '', 0, 'forged', 1, '{}')"),
            "the journal is append-only: events are added at its end");
  EXPECT_EQ(sql(path, "INSERT INTO events VALUES (9, 0, 'r', '', 0, 'gap', 1, '{}')"),
            "the journal is append-only: events are added at its end");
  EXPECT_THAT(sql(path, "INSERT INTO events VALUES (3, 0, 'r', '', 0, 'big', 1, hex(zeroblob(2049)))"),
              StartsWith("CHECK constraint failed"));
  EXPECT_EQ(journal->read("r")->size(), 2U);
}

TEST(Journal, IsNobodyElsesToRead) {
  const TemporaryDirectory directory;
  const mode_t before = umask(0);
  auto journal = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(journal->append(event("r", "x"), Durability::process));
  umask(before);
  for (const char* name : {"journal.db", "journal.db-wal", "journal.db-shm"}) {
    struct stat status{};
    ASSERT_EQ(stat((directory / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
  }
}

TEST(Journal, RefusesWhatIsNoJournal) {
  const TemporaryDirectory directory;
  const auto refusal = [&](const std::string& name, JournalMode mode) {
    auto journal = Journal::open(directory / name, mode);
    return journal ? "opened" : journal.error().text();
  };
  EXPECT_EQ(refusal("none", JournalMode::read), "open journal " + (directory / "none") + ": No such file or directory");

  std::ofstream(directory / "text") << std::string(10'000, 'x');
  for (const JournalMode mode : {JournalMode::read, JournalMode::write})
    EXPECT_THAT(refusal("text", mode), HasSubstr("this is not a journal"));

  ASSERT_EQ(sql(directory / "other", "CREATE TABLE t (x)"), "");
  for (const JournalMode mode : {JournalMode::read, JournalMode::write})
    EXPECT_EQ(refusal("other", mode), "open journal " + (directory / "other") + ": this is not a journal");

  ASSERT_TRUE(Journal::open(directory / "newer", JournalMode::write));
  ASSERT_EQ(sql(directory / "newer", "PRAGMA user_version = 7"), "");
  for (const JournalMode mode : {JournalMode::read, JournalMode::write})
    EXPECT_EQ(refusal("newer", mode), "open journal " + (directory / "newer") +
                                          ": it was written by a newer Bulkhead (schema 7, this one reads 1)");

  ASSERT_EQ(symlink("newer", (directory / "link").c_str()), 0);
  EXPECT_NE(refusal("link", JournalMode::write), "opened");
}

TEST(Journal, SaysThatItIsDamaged) {
  const TemporaryDirectory directory;
  const std::string path = directory / "journal.db";
  {
    auto journal = Journal::open(path, JournalMode::write);
    for (int i = 0; i < 200; ++i)
      ASSERT_TRUE(journal->append(event("r", "x", {{"t", std::string(500, 'x')}}), Durability::process));
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 4096);
    file << std::string(std::size_t{20} * 4096, '\xee');
  }
  auto journal = Journal::open(path, JournalMode::read);
  ASSERT_TRUE(journal) << journal.error().text();  // its first pages are whole
  const auto events = journal->read("r");
  ASSERT_FALSE(events);
  EXPECT_THAT(events.error().text(), HasSubstr("the journal is damaged"));
  const auto check = journal->check();
  ASSERT_FALSE(check);
  EXPECT_THAT(check.error().text(), HasSubstr("the journal is damaged"));
}

}  // namespace
}  // namespace bulkhead::test
