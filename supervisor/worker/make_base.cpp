// Makes the lower directory that every workspace at one base commit shares.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/workspaces/state_paths.h"
#include "supervisor/worker/checkout.h"
#include "supervisor/worker/clean_repository.h"
#include "supervisor/worker/replace_file.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

// What an agent's own git reads. Minimal stat data: device, inode and change time differ between the base and what an
// overlay shows of it. No gc: it would copy the whole base into the upper directory.
constexpr std::string_view workspace_configuration =
    "\tcheckStat = minimal\n"
    "\ttrustctime = false\n"
    "[gc]\n\tauto = 0\n"
    "[maintenance]\n\tauto = false\n"
    "[user]\n\tname = Agent\n\temail = agent@bulkhead.invalid\n"
    "[advice]\n\tdetachedHead = false\n";

Result<> make_git_dir(const MakeBaseRequest& request) {
  const std::string git_dir = request.tree + "/.git";
  for (const char* directory :
       {"", "/objects", "/objects/info", "/objects/pack", "/refs", "/refs/heads", "/refs/tags", "/info"}) {
    BULKHEAD_TRY(make_directory(git_dir + directory, 0755));
  }
  // The [core] section is open at the end of git_configuration() for sha1 only, so it is opened again.
  BULKHEAD_TRY(replace_file(
      git_dir + "/config",
      git_configuration(request.object_format, false, "[core]\n") + std::string(workspace_configuration), 0644));
  BULKHEAD_TRY(replace_file(git_dir + "/HEAD", request.base + "\n", 0644));
  if (request.shallow.empty()) return {};
  BULKHEAD_ASSIGN(const Fd shallow, open_input(request.shallow));
  BULKHEAD_ASSIGN(const std::string boundary, read_fd(shallow.get()));
  for (const std::string& id : split(boundary, '\n')) {
    if (!id.empty() && !is_object_id(id)) return fail("read", "shallow boundary", "not a list of object ids");
  }
  return boundary.empty() ? Result<>() : replace_file(git_dir + "/shallow", boundary, 0644);
}

// The commit's own time where it is a past one: the same for every base of it, and long before any change.
Result<std::int64_t> past_time(const Git& git, const ObjectId& commit) {
  BULKHEAD_ASSIGN(const std::string text,
                  git.line("read", commit, {"show", "-s", "--no-show-signature", "--format=%ct", commit}));
  std::int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr std::int64_t year_2000 = 946684800;  // build tools distrust times around 1970
  return std::clamp(seconds, year_2000, static_cast<std::int64_t>(::time(nullptr)) - 60);
}

}  // namespace

Result<MakeBaseFacts> make_base(const MakeBaseRequest& request) {
  if (request.object_format != "sha1" && request.object_format != "sha256") {
    return fail("make base", request.base, "unknown object format '" + printable(request.object_format, 64) + "'");
  }
  BULKHEAD_ASSIGN(const std::vector<std::string> there, list_directory(request.tree));
  if (!there.empty()) return fail("make base", request.tree, "the directory is not empty");
  BULKHEAD_TRY(make_git_dir(request));

  const Git git = checkout_git(request.tree);
  BULKHEAD_ASSIGN(const Fd pack, open_input(request.pack));
  BULKHEAD_TRY(git.must("check", "pack", {"index-pack", "--stdin", lenient_strict_option()}, {.stdin_fd = pack.get()}));
  BULKHEAD_ASSIGN(const std::string type, git.line("read", request.base, {"cat-file", "-t", request.base}));
  if (type != "commit") return fail("make base", request.base, "it is a " + type + ", not a commit");

  BULKHEAD_TRY(git.must("check out", request.base, {"read-tree", "--reset", "-u", request.base}));
  BULKHEAD_ASSIGN(const std::int64_t time, past_time(git, request.base));
  MakeBaseFacts facts;
  BULKHEAD_ASSIGN(facts.files, set_times(request.tree, time));
  // Compares each file once more and writes the new times into the index.
  BULKHEAD_TRY(git.must("refresh index of", request.tree, {"update-index", "-q", "--refresh"}));

  BULKHEAD_ASSIGN(const std::string counted, git.must("count objects of", request.tree, {"count-objects", "-v"}));
  // Once for all of its files: it is used by every later run, so it must not be half there after a power cut.
  BULKHEAD_ASSIGN(const Fd tree, open_file(request.tree, O_RDONLY | O_DIRECTORY));
  if (::syncfs(tree.get()) != 0) return errno_error("sync", request.tree);
  const auto at = counted.find("in-pack: ");
  if (at != std::string::npos) std::from_chars(counted.data() + at + 9, counted.data() + counted.size(), facts.objects);
  return facts;
}

}  // namespace bulkhead
