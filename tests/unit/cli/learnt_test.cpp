#include "supervisor/cli/learnt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "sandbox/explain/denied.h"
#include "sandbox/plan/plan.h"
#include "supervisor/config/document.h"
#include "tests/support/host_facts.h"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SandboxSpec spec_of(const json& more = json::object()) {
  json policy = {{"version", 1}, {"name", "test"}, {"allow", {"no-seccomp"}}, {"seccomp", "none"}};
  policy["root"] = {{"from", "host"}, {"paths", {"/usr"}}};
  policy["mounts"] = {{"/tmp", nullptr}};  // host paths of these tests are below it
  policy.merge_patch(more);
  return SandboxSpec::from_policy(policy, {}).value();
}

View view_under(const SandboxSpec& spec) {
  const HostFacts host = testing::whole_host(7);
  const auto plan = compile_plan(spec, {.argv = {"/bin/true"}, .environment = {}, .directory = {}},
                                 {.cgroup = "c", .range_base = 1 << 20}, host);
  return view_of(spec, plan.value());
}

// A directory on the host, as what is looked for.
struct Learnt : ::testing::Test {
  Learnt() {
    char name[] = "/tmp/bulkhead-learnt.XXXXXX";
    top = fs::canonical(::mkdtemp(name)).string();
    fs::permissions(top, static_cast<fs::perms>(0755));
  }
  ~Learnt() override { fs::remove_all(top); }
  std::string file(const std::string& name, mode_t mode = 0644) {
    const std::string path = top + "/" + name;
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << "x";
    ::chmod(path.c_str(), mode);
    return path;
  }
  Proposal look_for(const std::vector<std::string>& missing, const SandboxSpec& spec = spec_of()) {
    Observed observed;
    for (const std::string& path : missing) observed.rows.push_back({.seen = InitSeen::missing, .path = path});
    const View view = view_under(spec);
    return propose(json{{"version", 1}}, view, {}, observed,
                   {.look = look_at_host(questions(observed, view)), .names = {.devices = {"zero"}}});
  }
  std::string top;
};

std::vector<std::string> what(const std::vector<ProposalLine>& lines) {
  std::vector<std::string> out;
  for (const ProposalLine& line : lines) out.push_back(line.what);
  return out;
}

TEST_F(Learnt, PathsThatOnlyTheHostHasBecomeReadOnlyMounts) {
  const std::string a = file("lib/a");
  const Proposal proposal = look_for({a, top + "/lib/none", top + "/lib/../lib/./a"});
  EXPECT_EQ(proposal.patch, (json{{"mounts", {{a, {{"source", a}}}}}}));
  EXPECT_THAT(what(proposal.added), ElementsAre(a));
  EXPECT_THAT(proposal.named, IsEmpty());
}

TEST_F(Learnt, ADirectoryBringsWhatIsInIt) {
  const std::string a = file("lib/a"), other = file("lib-b");
  EXPECT_THAT(what(look_for({a, top + "/lib", other}).added), ElementsAre(top + "/lib", other));
}

TEST_F(Learnt, LinksAreMadeAgainWithWhatTheyLeadTo) {
  const std::string a = file("lib/a.1");
  fs::create_symlink("a.1", top + "/lib/a");
  fs::create_directory_symlink(top + "/lib", top + "/lib64");
  EXPECT_THAT(what(look_for({top + "/lib64/a"}).added), ElementsAre(top + "/lib/a", a, top + "/lib64"));
  fs::create_symlink("loop", top + "/loop");
  EXPECT_THAT(look_for({top + "/loop"}).patch, IsEmpty());
}

TEST_F(Learnt, AProgramComesWithItsInterpreter) {
  const std::string inner = file("bin/inner", 0755), outer = file("bin/outer", 0755), text = file("text");
  std::ofstream(outer) << "#! " << inner << " -x\n";
  std::ofstream(text) << "#!" << inner << "\n";
  EXPECT_THAT(what(look_for({outer}).added), ElementsAre(inner, outer));
  EXPECT_THAT(what(look_for({text}).added), ElementsAre(text));  // no program
  std::ofstream(inner) << "#!" << outer << "\n";                 // a circle
  EXPECT_THAT(what(look_for({outer}).added), ElementsAre(inner, outer));
  // What is inside already may miss its own.
  const auto spec = spec_of({{"mounts", {{outer, {{"source", outer}}}}}});
  EXPECT_THAT(what(look_for({outer}, spec).added), ElementsAre(inner));
  // This very program's is the dynamic linker.
  fs::copy_file("/proc/self/exe", top + "/elf");
  EXPECT_THAT(what(look_for({top + "/elf"}, spec_of({{"root", {{"from", "host"}, {"paths", {"/etc/hosts"}}}}})).added),
              ::testing::Contains(HasSubstr("ld-linux")));
}

TEST_F(Learnt, WhatTheSandboxHasIsLeftAlone) {
  const std::string a = file("own/a");
  const auto spec = spec_of({{"mounts", {{top + "/own", {{"tmpfs", "1Mi"}}}}}});
  const Proposal proposal = look_for({a, "/usr/bin", "/etc/none"}, spec);
  // A link of the host's at a place that the sandbox writes leads nowhere.
  fs::create_symlink("/etc/hosts", top + "/own/link");
  EXPECT_THAT(look_for({top + "/own/link"}, spec).patch, IsEmpty());
  EXPECT_THAT(proposal.patch, IsEmpty());
}

TEST_F(Learnt, PrivateFilesSocketsAndTopLevelDirectoriesAreOnlyNamed) {
  const std::string secret = file("secret", 0600);
  ::mkfifo((top + "/pipe").c_str(), 0666);
  const Proposal proposal = look_for({secret, top + "/pipe", "/etc", "/dev/zero"}, spec_of({{"devices", {"null"}}}));
  EXPECT_THAT(proposal.patch, IsEmpty());
  EXPECT_THAT(what(proposal.named), ElementsAre("/etc", top + "/pipe", secret, "open /dev/zero"));
}

TEST_F(Learnt, NothingIsMountedOverWhatThePolicyMounts) {
  file("tree/below/a");
  const auto spec = spec_of({{"mounts", {{top + "/tree/below", {{"source", top + "/tree/below"}}}}}});
  const Proposal proposal = look_for({top + "/tree"}, spec);
  EXPECT_THAT(proposal.patch, IsEmpty());
  EXPECT_THAT(what(proposal.named), ElementsAre(top + "/tree"));
}

TEST_F(Learnt, WritesAreNeverProposed) {
  const std::string a = file("a", 0666);
  const Observed observed{.rows = {{.seen = InitSeen::unwritable, .path = a, .error = EROFS},
                                   {.seen = InitSeen::unwritable, .path = "/home/agent/x", .error = EACCES}},
                          .more = true};
  const Proposal proposal = propose(json{{"version", 1}}, view_under(spec_of()), {}, observed, {});
  EXPECT_THAT(proposal.patch, IsEmpty());
  EXPECT_THAT(what(proposal.named), ElementsAre(a, "more paths"));
}

TEST_F(Learnt, RefusedCallsJoinThoseThatThePolicyAllows) {
  ExitRecord record;
  record.denials = {{.call = "unshare", .times = 2, .who = "sh", .arguments = {}},
                    {.call = "call 9999", .times = 1, .who = "sh", .arguments = {}}};
  const Proposal proposal =
      propose({{"version", 1}, {"seccomp_allow", {"@debug"}}}, view_under(spec_of()), record, {}, {});
  EXPECT_EQ(proposal.patch, (json{{"seccomp_allow", {"@debug", "unshare"}}}));
  EXPECT_EQ(proposal.added.front().why, "refused 2 times, first to sh; it is one of @namespaces");
  EXPECT_THAT(what(proposal.named), ElementsAre("system call 9999"));
}

TEST_F(Learnt, LimitsThatWereHitAreDoubled) {
  ExitRecord record;
  record.oom_kills = 1;
  record.pids_refusals = 3;
  record.reason = EndReason::wall_time;
  const View view = view_under(spec_of({{"limits", {{"memory", "64Mi"}, {"pids", 10}, {"wall", "1s"}}}}));
  EXPECT_EQ(propose(json::object(), view, record, {}, {}).patch,
            (json{{"limits", {{"memory", "128Mi"}, {"pids", 20}, {"wall", "2s"}}}}));
  EXPECT_THAT(propose(json::object(), view, {}, {}, {}).patch, IsEmpty());
}

TEST_F(Learnt, WhatNoMountGivesIsNamed) {
  const Observed observed{
      .rows = {{.seen = InitSeen::connect,
                .address = {.family = SeenAddress::Family::ipv4, .host = "192.0.2.1", .port = 443}}}};
  const Proposal proposal = propose(json::object(), view_under(spec_of()), {}, observed, {});
  EXPECT_THAT(proposal.patch, IsEmpty());
  EXPECT_THAT(what(proposal.named), ElementsAre("connect to 192.0.2.1:443"));
}

TEST(LearntNotes, AProposalReadsBackWhateverItsCommentsHold) {
  Proposal proposal;
  proposal.named = {{"mounts", "/x\nversion: 2\n\x1b[2J", "\n- y"}};
  const json policy = {{"version", 1}};
  const std::string text = render_proposal(policy, {"a\nb: c"}, proposal);
  EXPECT_EQ(read_document(text, "p.yaml").value().value, policy) << text;
  EXPECT_THAT(text, HasSubstr("# Not added:"));
}

TEST(LearntNotes, WhereACommandIsLookedFor) {
  EXPECT_THAT(command_places("git", "/a:/b:relative:"), ElementsAre("/a/git", "/b/git"));
  EXPECT_THAT(command_places("/x/git", "/a"), ElementsAre("/x/git"));
  EXPECT_THAT(command_places("x/git", "/a"), IsEmpty());
}

}  // namespace
}  // namespace bulkhead
