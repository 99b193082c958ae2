#include "sandbox/explain/denied.h"
#include "tests/support/host_facts.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace bulkhead {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

View view_of_policy(const json& more = json::object()) {
  json policy = {{"version", 1}, {"name", "test"}, {"allow", {"no-seccomp"}}, {"seccomp", "none"}};
  policy["root"] = {{"from", "host"}, {"paths", {"/usr"}}};
  policy["mounts"] = {{"/data", {{"source", "/srv/data"}, {"executable", false}}}};
  if (more.contains("allow")) {
    json words = more["allow"];
    words.push_back("no-seccomp");
    policy["allow"] = words;
    json rest = more;
    rest.erase("allow");
    policy.merge_patch(rest);
  } else {
    policy.merge_patch(more);
  }
  const SandboxSpec spec = SandboxSpec::from_policy(policy, {}).value();
  const HostFacts host = testing::whole_host(7);
  const auto plan = compile_plan(spec, {.argv = {"/bin/true"}, .environment = {}, .directory = {}},
                                 {.cgroup = "c", .range_base = 1 << 20}, host);
  return view_of(spec, plan.value());
}

Observation seen(InitSeen what, const std::string& path, int error = ENOENT, const std::string& call = "openat") {
  return {.seen = what, .path = path, .call = call, .error = error, .times = 1, .who = "sh"};
}
Observation reached(InitSeen what, const std::string& host, std::uint16_t port, bool local = false,
                    bool listening = false) {
  return {.seen = what,
          .address = {.family = SeenAddress::Family::ipv4,
                      .host = host,
                      .port = port,
                      .local = local,
                      .protocol = SeenAddress::Protocol::tcp,
                      .listening = listening},
          .call = "connect",
          .times = 1,
          .who = "curl"};
}
HostPath on_host(const std::string& path, HostKind kind = HostKind::file, bool for_everybody = true) {
  return {.wanted = path, .end = path, .kind = kind, .for_everybody = for_everybody};
}

std::vector<Denied> judged(std::vector<Observation> rows, HostAnswers host = {}, const View& view = view_of_policy()) {
  return denied(view, {}, {.rows = std::move(rows), .more = false}, host);
}
std::vector<std::string> what(const std::vector<Denied>& rows) {
  std::vector<std::string> out;
  for (const Denied& row : rows) out.push_back(row.what);
  return out;
}

TEST(Denied, WhatNobodyHasWasNotRefused) {
  EXPECT_THAT(judged({seen(InitSeen::missing, "/opt/none")}), IsEmpty());
  EXPECT_THAT(judged({seen(InitSeen::unwritable, "/opt/none/file", ENOENT)}), IsEmpty());
}

TEST(Denied, WhatTheHostHasNamesTheMountThatWouldBringIt) {
  const auto rows =
      judged({seen(InitSeen::missing, "/opt/tool")}, {.look = {.paths = {on_host("/opt/tool")}}, .names = {}});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].what, "find /opt/tool");
  EXPECT_EQ(rows[0].wall, "mounts");
  EXPECT_EQ(rows[0].rule, "/root");
  EXPECT_EQ(change_text(rows[0].change), "mounts: {/opt/tool: {source: /opt/tool}}");
}

TEST(Denied, SecretsSocketsAndHiddenPlacesComeWithoutAChange) {
  const auto rows = judged({seen(InitSeen::missing, "/opt/key"), seen(InitSeen::missing, "/opt/socket"),
                            seen(InitSeen::missing, "/root/x"), seen(InitSeen::missing, "/run/docker.sock")},
                           {.look = {.paths = {on_host("/opt/key", HostKind::file, false),
                                               on_host("/opt/socket", HostKind::socket),
                                               {.wanted = "/root/x", .end = "/root", .kind = HostKind::hidden}}},
                            .names = {.sockets = {"/run/docker.sock"}}});
  EXPECT_THAT(what(rows),
              ElementsAre("find /opt/key", "find /opt/socket", "find /root/x", "connect to /run/docker.sock"));
  for (const Denied& row : rows) {
    EXPECT_TRUE(row.change.empty()) << row.what;
    EXPECT_FALSE(row.reason.empty()) << row.what;
  }
}

TEST(Denied, WhatTheSandboxWritesItselfIsItsOwnBusiness) {
  const View view = view_of_policy();
  const Observed observed{.rows = {seen(InitSeen::missing, "/tmp/link"), seen(InitSeen::missing, "/usr/../tmp/x"),
                                   seen(InitSeen::missing, "/opt/x")}};
  EXPECT_THAT(questions(observed, view), ElementsAre("/opt/x"));
  EXPECT_THAT(
      judged({seen(InitSeen::unwritable, "/tmp/closed/x", EACCES), seen(InitSeen::unreadable, "/tmp/f", EACCES)}),
      IsEmpty());
}

TEST(Denied, WritesNameTheMountAndItsWord) {
  const auto rows = judged(
      {seen(InitSeen::unwritable, "/data/../data/x", EROFS), seen(InitSeen::unwritable, "/usr/x", EACCES),
       seen(InitSeen::unwritable, "/new", EACCES, "mkdir"), seen(InitSeen::unwritable, "/usr/x", EACCES, "rename")});
  ASSERT_THAT(what(rows), ElementsAre("write /data/x", "write /new", "write /usr/x"));
  EXPECT_EQ(rows[0].rule, "/mounts/~1data");
  EXPECT_EQ(change_text(rows[0].change), "allow: [writable-host], mounts: {/data: {access: read_write}}");
  EXPECT_EQ(change_text(rows[1].change), "mounts: {/new: {tmpfs: 64Mi}}");
  EXPECT_TRUE(rows[2].change.empty());
  EXPECT_EQ(rows[2].times, 2u);
}

// A tmpfs is a directory: no way to a file in the root itself. And nobody writes a path of pages into a policy.
TEST(Denied, NoTmpfsIsProposedWhereItWouldNotHelp) {
  const std::string deep = "/" + std::string(1200, 'd');
  const auto rows =
      judged({seen(InitSeen::unwritable, "/new", EACCES, "openat"), seen(InitSeen::unwritable, deep, EACCES, "mkdir"),
              seen(InitSeen::unwritable, "/opt/new", EACCES, "openat")},
             {.look = {.paths = {on_host("/opt", HostKind::directory)}}, .names = {}});
  ASSERT_THAT(what(rows), ElementsAre("write /opt/new", "write /new", "write " + deep));
  EXPECT_EQ(change_text(rows[0].change), "mounts: {/opt: {tmpfs: 64Mi}}");
  EXPECT_TRUE(rows[1].change.empty());
  EXPECT_TRUE(rows[2].change.empty());
}

TEST(Denied, ExecutionMasksAndDevices) {
  const auto rows =
      judged({seen(InitSeen::unexecutable, "/data/tool", EACCES), seen(InitSeen::masked, "/proc/kcore"),
              seen(InitSeen::unwritable, "/proc/sys/x", EROFS), seen(InitSeen::unwritable, "/proc/sys/y", EACCES),
              seen(InitSeen::device_node, "/tmp/d"), seen(InitSeen::missing, "/dev/kvm"), seen(InitSeen::terminal, ""),
              seen(InitSeen::own_listener, ""), seen(InitSeen::open_files, "")},
             {.look = {}, .names = {.devices = {"kvm"}}});
  std::map<std::string, std::string> changes;
  for (const Denied& row : rows) changes[row.what] = change_text(row.change);
  EXPECT_EQ(changes, (std::map<std::string, std::string>{
                         {"run /data/tool", "mounts: {/data: {executable: true}}"},
                         {"open /proc/kcore", "allow: [unmasked-proc]"},
                         {"write /proc/sys/x", "allow: [unmasked-proc]"},
                         {"write /proc/sys/y", ""},
                         {"make the device /tmp/d", ""},
                         {"open /dev/kvm", ""},
                         {"to type into a terminal (TIOCSTI or TIOCLINUX)", "allow: [terminal-injection]"},
                         {"to listen to system calls (seccomp)", ""},
                         {"open files beyond their limit", "limits: {open_files: 8192}"}}));
}

TEST(Denied, AddressesMeetTheFirstWallOnTheirWay) {
  const HostAnswers host{.look = {}, .names = {.tcp = {5432}, .abstract = {"bus@"}}};
  const auto rows =
      judged({reached(InitSeen::connect, "192.0.2.1", 443), reached(InitSeen::connect, "127.0.0.1", 5432, true),
              reached(InitSeen::connect, "127.0.0.1", 5433, true),
              reached(InitSeen::connect, "127.0.0.1", 5432, true, true), reached(InitSeen::bind, "0.0.0.0", 80, true),
              reached(InitSeen::bind, "0.0.0.0", 8080, true), reached(InitSeen::bind, "192.0.2.1", 8080)},
             host);
  EXPECT_THAT(what(rows), ElementsAre("connect to tcp 192.0.2.1:443", "connect to tcp 127.0.0.1:5432",
                                      "bind tcp 192.0.2.1:8080", "bind tcp 0.0.0.0:80"));
  EXPECT_EQ(change_text(rows[0].change), "allow: [host-network]");
  EXPECT_TRUE(rows[3].change.empty());

  const View open = view_of_policy({{"allow", {"host-network"}}, {"tcp", {{"connect", {443}}}}});
  const auto ports =
      judged({reached(InitSeen::connect, "192.0.2.1", 443), reached(InitSeen::connect, "192.0.2.1", 80)}, host, open);
  ASSERT_THAT(what(ports), ElementsAre("connect to tcp 192.0.2.1:80"));
  EXPECT_EQ(ports[0].wall, "landlock");
  EXPECT_EQ(ports[0].rule, "/tcp/connect");
  EXPECT_EQ(change_text(ports[0].change), "tcp: {connect: [80]}");

  Observation abstract{.seen = InitSeen::connect,
                       .address = {.family = SeenAddress::Family::abstract, .host = std::string("bus\0", 4)}};
  EXPECT_EQ(judged({abstract}, host).at(0).wall, "network namespace");
  EXPECT_EQ(judged({abstract}, host, open).at(0).wall, "landlock");
  abstract.address.host = "other";
  EXPECT_THAT(judged({abstract}, host), IsEmpty());
}

TEST(Denied, NamesAreLookedUpInTheNetworkThatIsNotThere) {
  const HostAnswers host{.look = {.paths = {on_host("/etc/resolv.conf")}}, .names = {}};
  const auto rows = judged({seen(InitSeen::missing, "/etc/resolv.conf")}, host);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].kind, DeniedKind::network);
  const auto open =
      judged({seen(InitSeen::missing, "/etc/resolv.conf")}, host, view_of_policy({{"allow", {"host-network"}}}));
  EXPECT_EQ(open.at(0).kind, DeniedKind::file);
}

TEST(Denied, CallsAndLimitsAreOfTheSameList) {
  ExitRecord record;
  record.denials = {{.call = "unshare", .times = 3, .who = "sh", .arguments = {}},
                    {.call = "call 9999", .times = 1, .who = "sh", .arguments = {}}};
  record.oom_kills = 1;
  record.signal = 25;
  record.stdout_dropped = 10;
  const View view = view_of_policy({{"limits", {{"memory", "64Mi"}, {"file_size", "1Mi"}}}});
  const auto rows = denied(view, record, {}, {});
  ASSERT_THAT(what(rows), ElementsAre("system call unshare", "memory beyond its limit", "output beyond its limit",
                                      "a file beyond its limit", "system call 9999"));
  EXPECT_EQ(change_text(rows[0].change), "seccomp_allow: [unshare]");
  EXPECT_EQ(rows[0].reason, "it is one of @namespaces");
  EXPECT_EQ(rows[1].rule, "/limits/memory");
  EXPECT_EQ(change_text(rows[1].change), "limits: {memory: 128Mi}");
  EXPECT_THAT(to_json(rows[1]).dump(), HasSubstr(R"("kind":"limit")"));
}

TEST(Denied, ChangesAreYamlWhateverTheNames) {
  EXPECT_EQ(change_text({{"mounts", {{"/a b: {", {{"source", "/\u202e\x1b"}}}}}}),
            R"(mounts: {"/a b: {": {source: "/\u202e\u001b"}})");
}

// Rows as init writes them.
std::string row(InitObservation head, std::string_view text) {
  head.text = static_cast<std::uint16_t>(text.size());
  head.size = static_cast<std::uint32_t>((sizeof head + text.size() + 7) / 8 * 8);
  std::string bytes(head.size, '\0');
  ::memcpy(bytes.data(), &head, sizeof head);
  ::memcpy(bytes.data() + sizeof head, text.data(), text.size());
  return bytes;
}
template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

TEST(Observed, RowsAreReadAsTheUntrustedBytesTheyAre) {
  InitObservation head{.seen = InitSeen::missing, .call = SYS_openat, .error = ENOENT, .times = 7};
  ::memcpy(head.who, "a\x1b[31mbcdefghijklm", sizeof head.who);  // without an end
  const std::string good = row(head, "/a");
  auto bad_kind = head;
  bad_kind.seen = static_cast<InitSeen>(99);
  const Observed observed =
      parse_observed(row(head, "relative") + row(bad_kind, "/x") + row(head, std::string("/a\0b", 4)) +
                     row({.seen = InitSeen::more}, "") + good);
  EXPECT_FALSE(observed.closed);
  EXPECT_TRUE(parse_observed(row({.seen = InitSeen::closed}, "") + good).closed);
  ASSERT_EQ(observed.rows.size(), 1u);
  EXPECT_TRUE(observed.more);
  EXPECT_EQ(observed.rows[0].path, "/a");
  EXPECT_EQ(observed.rows[0].call, "openat");
  EXPECT_EQ(observed.rows[0].times, 7u);
  EXPECT_EQ(observed.rows[0].who, "a\\x1b[31mbcdefghijk");
  for (std::size_t cut = 0; cut < good.size(); ++cut) EXPECT_THAT(parse_observed(good.substr(0, cut)).rows, IsEmpty());
  for (const std::uint32_t size : {0u, 8u, 41u, 1u << 31, 4096u}) {
    std::string wrong = good;
    ::memcpy(wrong.data(), &size, sizeof size);
    EXPECT_THAT(parse_observed(wrong + good).rows, IsEmpty()) << size;
  }
}

TEST(Observed, AddressesOfEachFamily) {
  sockaddr_in four{.sin_family = AF_INET, .sin_port = htons(443), .sin_addr = {}, .sin_zero = {}};
  ::inet_pton(AF_INET, "127.1.2.3", &four.sin_addr);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(80);
  ::inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
  const InitObservation head{.seen = InitSeen::connect, .flags = IPPROTO_TCP | kSeenListening};
  const std::string abstract = std::string("\x01\0", 2) + std::string("\0na\x1bme", 6);
  const Observed observed =
      parse_observed(row(head, bytes_of(four)) + row(head, bytes_of(six)) + row(head, bytes_of(six).substr(0, 24)) +
                     row(head, abstract) + row(head, bytes_of(four).substr(0, 8)) + row(head, "\x01") + row(head, ""));
  ASSERT_EQ(observed.rows.size(), 4u);
  EXPECT_EQ(observed.rows[0].address, (SeenAddress{.family = SeenAddress::Family::ipv4,
                                                   .host = "127.1.2.3",
                                                   .port = 443,
                                                   .local = true,
                                                   .protocol = SeenAddress::Protocol::tcp,
                                                   .listening = true}));
  EXPECT_EQ(observed.rows[1].address.host, "::ffff:127.0.0.1");
  EXPECT_TRUE(observed.rows[1].address.local);
  EXPECT_EQ(observed.rows[1].address, observed.rows[2].address);
  EXPECT_EQ(observed.rows[3].address.host, "na\x1bme");
}

}  // namespace
}  // namespace bulkhead
