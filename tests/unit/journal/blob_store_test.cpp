#include "supervisor/core/journal/blob_store.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/journal/temporary.h"

namespace bulkhead::test {
namespace {

using testing::HasSubstr;

TEST(BlobStore, NamesContentByItsHash) {
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const TemporaryDirectory directory;
  auto store = BlobStore::open(directory / "blobs", JournalMode::write);
  ASSERT_TRUE(store) << store.error().text();
  const auto id = store->put("abc", Durability::power);
  ASSERT_TRUE(id) << id.error().text();
  EXPECT_EQ(*id, sha256_hex("abc"));
  EXPECT_TRUE(std::filesystem::exists(directory / ("blobs/ba/" + id->substr(2))));
  EXPECT_EQ(store->get(*id).value(), "abc");
  EXPECT_TRUE(store->has(*id));
  EXPECT_EQ(store->put("abc", Durability::process).value(), *id);
  EXPECT_EQ(store->put("abc", Durability::power).value(), *id);
  struct stat status{};
  ASSERT_EQ(stat((directory / "blobs").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST(BlobStore, KeepsAnyBytes) {
  const TemporaryDirectory directory;
  auto store = BlobStore::open(directory / "blobs", JournalMode::write);
  std::string bytes(300'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  const auto id = store->put(bytes, Durability::process);
  ASSERT_TRUE(id);
  EXPECT_EQ(store->get(*id).value(), bytes);
  EXPECT_EQ(store->get(store->put("", Durability::process).value()).value(), "");
  EXPECT_FALSE(store->get(*id, 1'000));  // bounded
}

TEST(BlobStore, NoticesDamageAndNonsense) {
  const TemporaryDirectory directory;
  auto store = BlobStore::open(directory / "blobs", JournalMode::write);
  const auto id = store->put("abc", Durability::process);
  const std::string path = directory / ("blobs/ba/" + id->substr(2));
  std::ofstream(path) << "abd";
  const auto damaged = store->get(*id);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().text(), "read blob " + path + ": its content does not match its name");
  EXPECT_FALSE(store->get("../../etc/passwd"));
  EXPECT_FALSE(store->has("../../etc/passwd"));
  EXPECT_THAT(store->get("xyz").error().text(), HasSubstr("64 hexadecimal digits"));
  EXPECT_FALSE(store->get(sha256_hex("never put")));
}

TEST(BlobStore, SweepsWhatADeadWriterLeft) {
  const TemporaryDirectory directory;
  ASSERT_TRUE(BlobStore::open(directory / "blobs", JournalMode::write));
  std::ofstream(directory / "blobs/.new-123") << "half";
  ASSERT_TRUE(BlobStore::open(directory / "blobs", JournalMode::read));
  EXPECT_TRUE(std::filesystem::exists(directory / "blobs/.new-123"));  // a reader sweeps nothing
  ASSERT_TRUE(BlobStore::open(directory / "blobs", JournalMode::write));
  EXPECT_FALSE(std::filesystem::exists(directory / "blobs/.new-123"));
}

}  // namespace
}  // namespace bulkhead::test
