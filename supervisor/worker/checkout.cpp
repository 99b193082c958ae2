#include "supervisor/worker/checkout.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <memory>

#include "sandbox/sys/files.h"
#include "supervisor/worker/escape.h"

namespace bulkhead {
namespace {

Result<> set_times_below(const Fd& directory, const std::string& shown, const std::array<timespec, 2>& times, bool top,
                         std::uint64_t& files) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)),
                                                    ::closedir);
  if (!listing) return errno_error("list", shown);
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || (top && name == ".git")) continue;
    struct stat status{};
    if (::fstatat(directory.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno_error("stat", shown);
    if (S_ISDIR(status.st_mode)) {
      const Fd below(::openat(directory.get(), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!below.valid()) return errno_error("open", shown + "/" + escaped(name));
      BULKHEAD_TRY(set_times_below(below, shown + "/" + escaped(name), times, false, files));
    } else {
      ++files;
    }
    if (::utimensat(directory.get(), entry->d_name, times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
      return errno_error("set times of", shown + "/" + escaped(name));
    }
  }
  return {};
}

}  // namespace

Git checkout_git(const std::string& directory) {
  return Git()
      .git_dir(directory + "/.git")
      .with("GIT_WORK_TREE", directory)
      .in(directory)
      .config("core.checkStat", "minimal")
      .config("core.trustctime", "false")
      .config("core.commitGraph", "false")
      .config("core.fsync", "none")  // a workspace is made again; a base is synced as a whole
      .config("checkout.workers", bounded_threads());
}

std::string lenient_strict_option() {
  std::string option = "--strict=";
  for (const char* message : {"badDate",
                              "badDateOverflow",
                              "badEmail",
                              "badName",
                              "badTimezone",
                              "emptyName",
                              "missingAuthor",
                              "missingEmail",
                              "missingNameBeforeEmail",
                              "missingSpaceBeforeDate",
                              "missingSpaceBeforeEmail",
                              "missingTaggerEntry",
                              "multipleAuthors",
                              "nulInCommit",

                              "zeroPaddedDate",
                              "zeroPaddedFilemode",
                              "badFilemode",
                              "gitmodulesParse",
                              "gitmodulesMissing",
                              "badTagName",
                              "extraHeaderEntry"}) {
    if (!option.ends_with('=')) option += ',';
    option += std::string(message) + "=ignore";
  }
  return option;
}

Result<std::uint64_t> set_times(const std::string& directory, std::int64_t seconds) {
  BULKHEAD_ASSIGN(const Fd top, open_file(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::array<timespec, 2> times{{{.tv_sec = seconds, .tv_nsec = 0}, {.tv_sec = seconds, .tv_nsec = 0}}};
  std::uint64_t files = 0;
  BULKHEAD_TRY(set_times_below(top, directory, times, true, files));
  return files;
}

}  // namespace bulkhead
