#include "supervisor/cli/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"

extern char** environ;

namespace bulkhead {
namespace {

constexpr std::array<std::string_view, 11> kPassed{"PATH", "SHELL",    "TERM",   "COLORTERM", "NO_COLOR", "TZ",
                                                   "LANG", "LANGUAGE", "EDITOR", "VISUAL",    "PAGER"};
constexpr std::array<std::string_view, 3> kPassedPrefixes{"LC_", "GIT_AUTHOR_", "GIT_COMMITTER_"};

std::optional<std::uint32_t> as_id(const std::string& text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || id == UINT32_MAX) return std::nullopt;
  return id;
}

std::string value(const Environment& environment, const std::string& key) {
  const auto it = environment.find(key);
  return it == environment.end() ? std::string() : it->second;
}

bool is_utf8(const std::string& text) {
  // The one place that knows well-formed UTF-8 from other bytes is the JSON library: messages carry these values.
  try {
    static_cast<void>(nlohmann::json(text).dump());
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

Environment parse_environ(std::string_view block) {
  Environment out;
  for (const std::string& entry : split(block, '\0')) {
    const auto equals = entry.find('=');
    if (equals != std::string::npos && equals != 0) out.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return out;
}

Result<CallerIdentity> identity_of_sudo_user(const Environment& own, const Environment& sudo_parent,
                                             const Accounts& accounts) {
  const std::string uid_text = value(own, "SUDO_UID");
  const std::string gid_text = value(own, "SUDO_GID");
  const std::string user = value(own, "SUDO_USER");
  const auto wrong = [&](std::string detail) -> Result<CallerIdentity> {
    return fail("tell who ran sudo", "", std::move(detail),
                "run it through sudo itself, or as root with SUDO_UID, SUDO_GID and SUDO_USER unset");
  };
  const auto uid = as_id(uid_text);
  const auto gid = as_id(gid_text);
  if (!uid) return wrong("SUDO_UID is '" + uid_text + "', not a user id");
  if (!gid) return wrong("SUDO_GID is '" + gid_text + "', not a group id");
  const auto account = accounts.by_uid(*uid);
  if (!account) return wrong("SUDO_UID is " + uid_text + ", and no account has this id");
  if (account->name != user)
    return wrong("SUDO_USER is '" + user + "', and the account with SUDO_UID " + uid_text + " is '" + account->name +
                 "'");
  std::vector<gid_t> groups = accounts.groups_of(*account);
  if (*gid != account->gid && std::ranges::find(groups, *gid) == groups.end())
    return wrong("SUDO_GID is " + gid_text + ", and '" + user + "' is not in that group");
  std::ranges::sort(groups);
  groups.erase(std::ranges::unique(groups).begin(), groups.end());
  return CallerIdentity{.uid = *uid,
                        .gid = *gid,
                        .groups = std::move(groups),
                        .user = user,
                        .home = account->home,
                        .environment = user_environment(own, sudo_parent, user, account->home)};
}

}  // namespace

std::optional<Account> HostAccounts::by_uid(uid_t uid) const {
  std::string buffer(16384, '\0');
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
  return Account{.uid = entry.pw_uid, .gid = entry.pw_gid, .name = entry.pw_name, .home = entry.pw_dir};
}

std::vector<gid_t> HostAccounts::groups_of(const Account& account) const {
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (::getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0)
    groups.resize(static_cast<std::size_t>(count));
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

ProcessCredentials own_credentials() {
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(0, count)));
  return {.uid = ::geteuid(), .gid = ::getegid(), .groups = std::move(groups)};
}

Result<CallerIdentity> decide_identity(const ProcessCredentials& self, const Environment& own,
                                       const Environment& sudo_parent, const Accounts& accounts) {
  // `sudo` run by root itself says SUDO_UID=0: root's own work.
  if (self.uid == 0 && own.contains("SUDO_UID") && value(own, "SUDO_UID") != "0")
    return identity_of_sudo_user(own, sudo_parent, accounts);
  const auto account = accounts.by_uid(self.uid);
  const std::string user = account ? account->name : std::to_string(self.uid);
  std::string home = value(own, "HOME");  // one's own to choose
  if (!home.starts_with('/')) home = account ? account->home : "/";
  std::vector<gid_t> groups = self.groups;
  std::ranges::sort(groups);
  return CallerIdentity{.uid = self.uid,
                        .gid = self.gid,
                        .groups = std::move(groups),
                        .user = user,
                        .home = home,
                        .environment = user_environment(own, {}, user, home)};
}

Environment user_environment(const Environment& own, const Environment& sudo_parent, const std::string& user,
                             const std::string& home) {
  Environment merged = own;
  for (const auto& [key, text] : sudo_parent) merged[key] = text;
  Environment out;
  for (const auto& [key, text] : merged) {
    const bool passed =
        std::ranges::find(kPassed, std::string_view(key)) != kPassed.end() ||
        std::ranges::any_of(kPassedPrefixes, [&](std::string_view prefix) { return key.starts_with(prefix); });
    if (passed && is_utf8(key) && is_utf8(text)) out[key] = text;
  }
  out["HOME"] = home;
  out["USER"] = user;
  out["LOGNAME"] = user;
  if (value(out, "PATH").empty()) out["PATH"] = "/usr/local/bin:/usr/bin:/bin";
  return out;
}

Environment environment_of_sudo() {
  if (::geteuid() != 0) return {};
  // sudo is set-user-ID root: its process is root's, and only a program that root installed is called so by its link.
  const std::string process = "/proc/" + std::to_string(::getppid());
  std::array<char, 4096> target{};
  const ssize_t n = ::readlink((process + "/exe").c_str(), target.data(), target.size());
  if (n <= 0) return {};
  const std::string_view program(target.data(), static_cast<std::size_t>(n));
  if (program != "/usr/bin/sudo" && program != "/bin/sudo" && program != "/usr/local/bin/sudo") return {};
  const auto block = read_file(process + "/environ", std::size_t{1} << 20);
  return block ? parse_environ(*block) : Environment{};  // gone by now: PATH stays what sudo made of it
}

Environment own_environment() {
  Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos && equals != 0) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Result<> become(const CallerIdentity& caller) {
  if (::geteuid() == caller.uid && ::getuid() == caller.uid) return {};
  const std::string who = "user " + caller.user;
  if (::setgroups(caller.groups.size(), caller.groups.data()) != 0) return errno_error("take the groups of", who);
  if (::setresgid(caller.gid, caller.gid, caller.gid) != 0) return errno_error("take the group of", who);
  if (::setresuid(caller.uid, caller.uid, caller.uid) != 0) return errno_error("become", who);
  uid_t real = 0, effective = 0, saved = 0;
  gid_t real_group = 0, effective_group = 0, saved_group = 0;
  if (::getresuid(&real, &effective, &saved) != 0 || ::getresgid(&real_group, &effective_group, &saved_group) != 0)
    return errno_error("look at own identity");
  const bool dropped = real == caller.uid && effective == caller.uid && saved == caller.uid &&
                       real_group == caller.gid && effective_group == caller.gid && saved_group == caller.gid &&
                       (caller.uid == 0 || ::setresuid(0, 0, 0) != 0);
  if (!dropped) return fail("become", who, "root's identity is still there");
  return {};
}

std::vector<std::string> environment_block(const Environment& environment) {
  std::vector<std::string> out;
  out.reserve(environment.size());
  for (const auto& [key, text] : environment) out.emplace_back(key).append("=").append(text);
  return out;
}

std::vector<char*> exec_words(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace bulkhead
