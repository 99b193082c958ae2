#include "sandbox/base/result.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

TEST(ErrorText, SaysWhatFailedOnWhatAndWhy) {
  EXPECT_EQ((Error{.operation = "mount proc", .object = "/proc", .code = EPERM}).text(),
            "mount proc /proc: Operation not permitted");
  EXPECT_EQ((Error{.operation = "mount proc", .object = "/proc", .code = EPERM, .detail = "step 3"}).text(),
            "mount proc /proc: Operation not permitted (step 3)");
  EXPECT_EQ((Error{.operation = "policy", .object = "/limits", .detail = "expected a map"}).text(),
            "policy /limits: expected a map");
  EXPECT_EQ((Error{.operation = "a.yaml:1:1", .detail = "is empty", .hint = "not part of it"}).text(),
            "a.yaml:1:1: is empty");
}

TEST(ErrnoError, TakesErrnoAsItWas) {
  errno = ENOENT;
  const Result<> result = errno_error("open", "/nowhere");
  EXPECT_EQ(result.error().code, ENOENT);
  EXPECT_EQ(result.error().text(), "open /nowhere: No such file or directory");
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail("halve", std::to_string(n), "is odd");
  return n / 2;
}

Result<int> quarter(int n) {
  BULKHEAD_ASSIGN(const int once, half(n));
  BULKHEAD_TRY(half(once));
  return once / 2;
}

TEST(Macros, ReturnTheErrorOrGoOn) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(7).error().text(), "halve 7: is odd");
  EXPECT_EQ(quarter(6).error().text(), "halve 3: is odd");
}

}  // namespace
}  // namespace bulkhead
