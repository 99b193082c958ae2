// Where sandboxes get their uids from, by what is mapped. Needs no privilege.
#include "sandbox/launch/uid_space.h"

#include <gtest/gtest.h>

#include "sandbox/launch/user_namespace.h"

namespace bulkhead {
namespace {

constexpr const char* kAll = "         0          0 4294967295\n";

TEST(UidSpace, OnAHostRangesAreFarAboveEverybodyElse) {
  EXPECT_EQ(find_uid_space(kAll, kAll), (UidSpace{kRangeFirst, kRangeSize, kRangeCount}));
}

TEST(UidSpace, InAContainerTheyAreAmongItsIdsButNeverItsOwnAccounts) {
  const UidSpace space = find_uid_space("0 100000 1000000\n", "0 100000 1000000\n");
  EXPECT_EQ(space, (UidSpace{65536, kRangeSize, 14}));
  EXPECT_LE(space.first + std::uint64_t{space.step} * space.count, 1000000u);
  // Both maps must have them.
  EXPECT_EQ(find_uid_space("0 100000 1000000\n", "0 100000 200000\n"), (UidSpace{65536, kRangeSize, 2}));
  // The largest piece, aligned to whole ranges.
  EXPECT_EQ(find_uid_space("0 0 1\n1 100000 65535\n200000 300000 200000\n", kAll), (UidSpace{262144, kRangeSize, 2}));
}

TEST(UidSpace, WithTooFewIdsThereAreSingleOnesOrNone) {
  const UidSpace single = find_uid_space("0 100000 65536\n", "0 100000 65536\n");
  EXPECT_FALSE(single.has_ranges());
  EXPECT_EQ(single.step, 1u);
  EXPECT_EQ(single.first + kInsideUserId, 52000u);
  EXPECT_EQ(single.count, 8000u);
  EXPECT_EQ(find_uid_space("0 1000 1\n", "0 1000 1\n"), UidSpace{});
  EXPECT_EQ(find_uid_space("", "nonsense"), UidSpace{});
}

TEST(UidSpace, KnowsWhoseAUidIs) {
  const UidSpace host{kRangeFirst, kRangeSize, kRangeCount};
  EXPECT_EQ(host.range_of(kRangeFirst + 3 * kRangeSize + 1000), kRangeFirst + 3 * kRangeSize);
  EXPECT_EQ(host.range_of(kRangeFirst - 1), std::nullopt);
  EXPECT_EQ(host.range_of(kRangeFirst + kRangeCount * kRangeSize), std::nullopt);
  const UidSpace container{65536, kRangeSize, 14};
  EXPECT_EQ(container.range_of(65536 + kRangeSize + 7), 65536 + kRangeSize);
  EXPECT_EQ(container.range_of(kRangeFirst), std::nullopt);
  const UidSpace single{51000, 1, 8000};
  EXPECT_EQ(single.range_of(51003), 51003u);
  EXPECT_EQ(UidSpace{}.range_of(51003), std::nullopt);
}

}  // namespace
}  // namespace bulkhead
