// Whose work it is. Under sudo it is the invoking user's, never root's: repositories, workflow files, policies by path
// and reports are read and written as that user, after a permanent drop.
//
// Deciding is pure (decide_identity, user_environment); dropping is one function.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/api/messages.h"

namespace bulkhead {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  std::string home;
  bool operator==(const Account&) const = default;
};

// The host's user database; a fake in tests.
class Accounts {
 public:
  virtual ~Accounts() = default;
  virtual std::optional<Account> by_uid(uid_t uid) const = 0;
  virtual std::vector<gid_t> groups_of(const Account& account) const = 0;  // supplementary ones, with the primary
};

class HostAccounts final : public Accounts {
 public:
  std::optional<Account> by_uid(uid_t uid) const override;
  std::vector<gid_t> groups_of(const Account& account) const override;
};

using Environment = std::map<std::string, std::string>;

struct ProcessCredentials {
  uid_t uid = 0;  // effective
  gid_t gid = 0;
  std::vector<gid_t> groups;
};
ProcessCredentials own_credentials();

// Root with SUDO_UID: the user that SUDO_UID, SUDO_GID and SUDO_USER agree on with the passwd entry. Else whoever runs
// this. `environment` of the answer is user_environment() of the two given.
//
// `sudo_parent`: the environment of the sudo process above us, empty when there is none. sudo replaces PATH by its
// secure_path; the one its caller had is only there.
Result<CallerIdentity> decide_identity(const ProcessCredentials& self, const Environment& own,
                                       const Environment& sudo_parent, const Accounts& accounts);

// What of the caller's environment belongs to a run: PATH, HOME, USER, LOGNAME, SHELL, locale, time zone, terminal,
// editor and git's author variables; nothing else, since more than that may hold credentials or steer programs.
Environment user_environment(const Environment& own, const Environment& sudo_parent, const std::string& user,
                             const std::string& home);

// /proc/<parent>/environ when the parent is sudo running as root; else empty.
Environment environment_of_sudo();
Environment own_environment();

// Gives up root for good: groups, gids, uids, then checks that nothing of it is left and no way back. Without effect
// when this process is `caller` already. Single-threaded callers only.
Result<> become(const CallerIdentity& caller);

// "KEY=VALUE" strings for a program that runs as `caller`.
std::vector<std::string> environment_block(const Environment& environment);
// As execve() takes them; they point into `words`.
std::vector<char*> exec_words(std::vector<std::string>& words);

}  // namespace bulkhead
