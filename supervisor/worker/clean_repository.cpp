#include "supervisor/worker/clean_repository.h"

#include "sandbox/sys/files.h"
#include "supervisor/worker/replace_file.h"

namespace bulkhead {

std::string git_configuration(std::string_view object_format, bool bare, std::string_view extra) {
  const bool sha256 = object_format == "sha256";
  std::string text = "[core]\n\trepositoryformatversion = " + std::string(sha256 ? "1" : "0") +
                     "\n\tbare = " + (bare ? "true" : "false") +
                     "\n\tfilemode = true\n\tlogAllRefUpdates = " + (bare ? "false" : "true") + "\n";
  if (sha256) text += "[extensions]\n\tobjectFormat = sha256\n";
  text += extra;
  return text;
}

std::string alternates_variable(const std::vector<std::string>& directories) {
  std::string variable;
  for (const std::string& directory : directories) {
    if (!variable.empty()) variable += ':';
    if (directory.find_first_of(":\"\\\n") == std::string::npos) {
      variable += directory;
      continue;
    }
    variable += '"';
    for (char c : directory) {
      if (c == '"' || c == '\\') variable += '\\';
      variable += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    variable += '"';
  }
  return variable;
}

std::string object_format_of(std::string_view object_id) { return object_id.size() == 64 ? "sha256" : "sha1"; }

Result<CleanRepository> CleanRepository::make(const CleanOptions& options) {
  BULKHEAD_ASSIGN(Scratch scratch, Scratch::make());
  const std::string path = scratch.path() + "/git";
  for (const char* directory : {"", "/objects", "/objects/info", "/objects/pack", "/refs", "/refs/heads"}) {
    BULKHEAD_TRY(make_directory(path + directory, 0700));
  }
  BULKHEAD_TRY(replace_file(path + "/HEAD", "ref: refs/heads/none\n"));
  BULKHEAD_TRY(replace_file(path + "/config", git_configuration(options.object_format, true)));
  if (!options.shallow.empty()) BULKHEAD_TRY(replace_file(path + "/shallow", options.shallow));

  Git git = Git().git_dir(path).in("/");
  if (options.write_objects.empty()) git = git.config("core.fsync", "none");  // it goes with the scratch directory
  if (!options.write_objects.empty()) git = git.with("GIT_OBJECT_DIRECTORY", options.write_objects);
  if (!options.borrow.empty()) git = git.with("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates_variable(options.borrow));
  if (options.trust == Trust::agent) {
    git = git.config("core.commitGraph", "false")
              .config("core.multiPackIndex", "false")
              .config("pack.useBitmaps", "false")
              .config("pack.useBitmapBoundaryTraversal", "false");
  }
  return CleanRepository(std::move(scratch), std::move(git));
}

}  // namespace bulkhead
