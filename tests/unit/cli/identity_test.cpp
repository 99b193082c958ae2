#include "supervisor/cli/identity.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bulkhead {
namespace {

class FakeAccounts : public Accounts {
 public:
  std::optional<Account> by_uid(uid_t uid) const override {
    if (uid == 0) return Account{.uid = 0, .gid = 0, .name = "root", .home = "/root"};
    if (uid == 1000) return Account{.uid = 1000, .gid = 1000, .name = "ann", .home = "/home/ann"};
    return std::nullopt;
  }
  std::vector<gid_t> groups_of(const Account& account) const override {
    if (account.uid == 1000) return {1000, 27, 4, 27};
    return {account.gid};
  }
};

const ProcessCredentials kRoot{.uid = 0, .gid = 0, .groups = {0}};

Environment under_sudo(Environment more = {}) {
  Environment out{
      {"SUDO_UID", "1000"}, {"SUDO_GID", "1000"}, {"SUDO_USER", "ann"}, {"PATH", "/usr/sbin:/usr/bin"},
      {"HOME", "/root"},    {"USER", "root"},     {"LANG", "C.UTF-8"},  {"AWS_SECRET_ACCESS_KEY", "s3cret"}};
  for (const auto& [key, value] : more) out[key] = value;
  return out;
}

std::string refused(const Environment& environment) {
  const auto got = decide_identity(kRoot, environment, {}, FakeAccounts());
  return got ? "accepted as " + got->user : got.error().text();
}

TEST(Identity, UnderSudoItIsTheInvokingUser) {
  const auto got =
      decide_identity(kRoot, under_sudo(), {{"PATH", "/home/ann/bin:/usr/bin"}, {"HOME", "/tmp/else"}}, FakeAccounts());
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->uid, 1000u);
  EXPECT_EQ(got->gid, 1000u);
  EXPECT_EQ(got->groups, (std::vector<gid_t>{4, 27, 1000}));
  EXPECT_EQ(got->user, "ann");
  EXPECT_EQ(got->home, "/home/ann");
  EXPECT_EQ(got->environment.at("PATH"), "/home/ann/bin:/usr/bin") << "not sudo's secure_path";
  EXPECT_EQ(got->environment.at("HOME"), "/home/ann");
  EXPECT_EQ(got->environment.at("USER"), "ann");
  EXPECT_EQ(got->environment.at("LANG"), "C.UTF-8");
}

TEST(Identity, OnlyHarmlessVariablesGoAlong) {
  const auto got = decide_identity(kRoot, under_sudo({{"LD_PRELOAD", "x"}, {"GIT_SSH_COMMAND", "x"}, {"LC_ALL", "C"}}),
                                   {{"OPENAI_API_KEY", "x"}, {"BASH_ENV", "x"}}, FakeAccounts());
  ASSERT_TRUE(got);
  for (const char* name :
       {"AWS_SECRET_ACCESS_KEY", "LD_PRELOAD", "GIT_SSH_COMMAND", "OPENAI_API_KEY", "BASH_ENV", "SUDO_UID"})
    EXPECT_FALSE(got->environment.contains(name)) << name;
  EXPECT_EQ(got->environment.at("LC_ALL"), "C");
}

TEST(Identity, TextThatIsNotUtf8StaysBehind) {
  const auto got = decide_identity(kRoot, under_sudo({{"LC_ALL", "\xff"}}), {}, FakeAccounts());
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->environment.contains("LC_ALL"));
}

TEST(Identity, ForgedOrHalfSudoVariablesAreRefused) {
  EXPECT_EQ(refused(under_sudo({{"SUDO_UID", "1001"}})),
            "tell who ran sudo: SUDO_UID is 1001, and no account has this id");
  EXPECT_EQ(refused(under_sudo({{"SUDO_USER", "root"}})),
            "tell who ran sudo: SUDO_USER is 'root', and the account with SUDO_UID 1000 is 'ann'");
  EXPECT_EQ(refused(under_sudo({{"SUDO_GID", "0"}})),
            "tell who ran sudo: SUDO_GID is 0, and 'ann' is not in that group");
  EXPECT_EQ(refused(under_sudo({{"SUDO_GID", "27"}})), "accepted as ann") << "newgrp(1)";
  EXPECT_EQ(refused(under_sudo({{"SUDO_UID", "-1"}})), "tell who ran sudo: SUDO_UID is '-1', not a user id");
  EXPECT_EQ(refused(under_sudo({{"SUDO_UID", "4294967295"}})),
            "tell who ran sudo: SUDO_UID is '4294967295', not a user id");
  EXPECT_EQ(refused(under_sudo({{"SUDO_UID", "1000 "}})), "tell who ran sudo: SUDO_UID is '1000 ', not a user id");
  EXPECT_EQ(refused(under_sudo({{"SUDO_UID", ""}})), "tell who ran sudo: SUDO_UID is '', not a user id");
  EXPECT_EQ(refused({{"SUDO_UID", "1000"}}), "tell who ran sudo: SUDO_GID is '', not a group id");
}

TEST(Identity, RootItselfAndOrdinaryUsersAreThemselves) {
  const auto root = decide_identity(kRoot, {{"HOME", "/root"}, {"PATH", "/bin"}}, {}, FakeAccounts());
  ASSERT_TRUE(root);
  EXPECT_EQ(root->user, "root");
  const auto sudo_by_root =
      decide_identity(kRoot, {{"SUDO_UID", "0"}, {"SUDO_GID", "0"}, {"SUDO_USER", "root"}}, {}, FakeAccounts());
  ASSERT_TRUE(sudo_by_root);
  EXPECT_EQ(sudo_by_root->uid, 0u);
  // Variables that anybody can set mean nothing where root did not set them.
  const auto ann = decide_identity({.uid = 1000, .gid = 1000, .groups = {1000}},
                                   {{"SUDO_UID", "0"}, {"HOME", "/elsewhere"}}, {}, FakeAccounts());
  ASSERT_TRUE(ann);
  EXPECT_EQ(ann->uid, 1000u);
  EXPECT_EQ(ann->home, "/elsewhere");
  EXPECT_EQ(ann->environment.at("PATH"), "/usr/local/bin:/usr/bin:/bin");
  const auto nameless = decide_identity({.uid = 4711, .gid = 4711, .groups = {}}, {}, {}, FakeAccounts());
  ASSERT_TRUE(nameless);
  EXPECT_EQ(nameless->user, "4711");
  EXPECT_EQ(nameless->home, "/");
}

// As root it is done for good; as anybody else it is refused and not half done.
TEST(Identity, RootBecomesAUserForGood) {
  const bool root = ::geteuid() == 0;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const CallerIdentity other{
        .uid = 65533, .gid = 65533, .groups = {65533}, .user = "other", .home = "/", .environment = {}};
    const auto done = become(other);
    const bool other_now = ::getuid() == 65533 && ::geteuid() == 65533 && ::getgid() == 65533 && ::setuid(0) != 0 &&
                           ::getgroups(0, nullptr) == 1;
    ::_exit(root ? (done && other_now ? 0 : 1) : (!done && !other_now ? 0 : 2));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Identity, BecomingOneselfIsNothing) {
  EXPECT_TRUE(
      become({.uid = ::getuid(), .gid = ::getgid(), .groups = {}, .user = "me", .home = "/", .environment = {}}));
}

}  // namespace
}  // namespace bulkhead
