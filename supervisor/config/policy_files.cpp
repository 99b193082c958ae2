#include "supervisor/config/policy_files.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "sandbox/base/text.h"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array<std::string_view, 3> kEndings{".json", ".yaml", ".yml"};

bool is_path(std::string_view text) {
  return text.find('/') != std::string_view::npos ||
         std::ranges::any_of(kEndings, [&](std::string_view ending) { return text.ends_with(ending); });
}

bool is_file(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not there for the caller
  return fs::is_regular_file(path, ignored);
}

// Why a path is not the file of a policy.
Error unreadable(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  Error result{.operation = "read policy", .object = printable(path)};
  if (fs::exists(status))
    result.detail = "is not a regular file";
  else
    result.code = error ? error.value() : ENOENT;
  return result;
}

std::optional<std::string> find_named(const std::string& name, const std::vector<std::string>& dirs) {
  for (const std::string& dir : dirs)
    for (const std::string_view ending : kEndings)
      if (const fs::path path = fs::path(dir) / (name + std::string(ending)); is_file(path)) return path.string();
  return std::nullopt;
}

// Names of the policies or profiles in `dirs`, for a message.
std::vector<std::string> names_in(const std::vector<std::string>& dirs) {
  std::vector<std::string> names;
  for (const std::string& dir : dirs) {
    std::error_code error;
    for (fs::directory_iterator entry(dir, error), end; !error && entry != end; entry.increment(error)) {
      const fs::path path = entry->path();
      const bool known = std::ranges::find(kEndings, path.extension().string()) != kEndings.end();
      if (known && !path.stem().string().ends_with(".schema")) names.push_back(path.stem().string());
    }
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return names;
}

std::string hint_for(const std::string& name, const std::vector<std::string>& dirs, std::string_view kind) {
  std::string places;
  for (const std::string& dir : dirs) places += (places.empty() ? "" : ", ") + dir;
  if (const std::string near = nearest(name, names_in(dirs)); !near.empty())
    return "did you mean '" + near + "'? Looked in " + places;
  return "looked in " + (places.empty() ? "no directory" : places) + "; a path to a " + std::string(kind) +
         " has a '/' or ends in .json";
}

// A policy that does not say its name is called after its file.
void give_name(json& policy, const fs::path& file) {
  if (policy.is_object() && !policy.contains("name")) policy["name"] = file.stem().string();
}

// The same target, however it is written.
bool same_target(const std::string& a, const std::string& b) {
  const auto left = SandboxPath::parse(a);
  const auto right = SandboxPath::parse(b);
  return a == b || (left && right && *left == *right);
}

}  // namespace

void patch_policy(json& policy, json overrides) {
  if (!policy.is_object() || !overrides.is_object()) return;
  json mounts = json::object();
  if (const auto given = overrides.find("mounts"); given != overrides.end() && given->is_object()) {
    mounts = *given;
    overrides.erase(given);
  }
  policy.merge_patch(overrides);
  // A source merged into a tmpfs would be neither, and a null is to stay: it says that not even a built-in mount is
  // wanted.
  for (const auto& [target, mount] : mounts.items()) {
    json& all = policy["mounts"];
    if (all.is_null()) all = json::object();
    if (!all.is_object()) return;  // the reader refuses it
    for (auto each = all.begin(); each != all.end();)
      each = same_target(each.key(), target) ? all.erase(each) : std::next(each);
    all[target] = mount;
  }
}

namespace {

Result<Document> read_profile(const std::string& name, const std::string& policy_file,
                              const std::vector<std::string>& policy_dirs, const Document& document) {
  const fs::path beside = fs::path(policy_file).parent_path();
  std::string path;
  if (is_path(name)) {
    path = (beside / name).string();
  } else {
    std::vector<std::string> dirs{(beside / "seccomp").string()};
    for (const std::string& dir : policy_dirs) dirs.push_back((fs::path(dir) / "seccomp").string());
    const auto found = find_named(name, dirs);
    if (!found)
      return std::unexpected(located(document, Error{.operation = "policy",
                                                     .object = "/seccomp",
                                                     .detail = "no seccomp profile '" + printable(name, 80) + "'",
                                                     .hint = hint_for(name, dirs, "profile")}));
    path = *found;
  }
  return read_document_file(path);
}

}  // namespace

std::vector<std::string> default_policy_dirs() {
  std::vector<std::string> dirs;
  // secure_getenv: a set-uid or otherwise privileged start takes no word of its caller for where policies are.
  if (const char* given = secure_getenv("BULKHEAD_POLICIES"))
    for (std::string& dir : split(given, ':'))
      if (!dir.empty()) dirs.push_back(std::move(dir));
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path build = program.parent_path().parent_path();
    if (is_file(build / "CMakeCache.txt")) dirs.push_back((build.parent_path() / "policies").string());
  }
  dirs.insert(dirs.end(), {"/etc/bulkhead/policies", "/usr/share/bulkhead/policies"});
  return dirs;
}

Result<std::string> find_policy(const std::string& name_or_path, const std::vector<std::string>& policy_dirs) {
  if (is_path(name_or_path)) {
    if (is_file(name_or_path)) return name_or_path;
    return std::unexpected(unreadable(name_or_path));
  }
  if (auto found = find_named(name_or_path, policy_dirs)) return *std::move(found);
  return fail("find policy", "'" + printable(name_or_path, 80) + "'", "no such policy",
              hint_for(name_or_path, policy_dirs, "policy"));
}

Result<PolicyFiles> read_policy_files(const std::string& name_or_path, const std::vector<std::string>& policy_dirs,
                                      const json& overrides) {
  BULKHEAD_ASSIGN(const std::string path, find_policy(name_or_path, policy_dirs));
  PolicyFiles files;
  BULKHEAD_ASSIGN(files.document, read_document_file(path));
  files.policy = files.document.value;
  give_name(files.policy, path);
  patch_policy(files.policy, overrides);
  const json completed = apply_defaults(files.policy);
  const json profile = completed.is_object() ? completed["seccomp"] : json();
  // What is no profile's name is the reader's to refuse.
  if (profile.is_string() && profile != "none") {
    const auto name = profile.get<std::string>();
    BULKHEAD_ASSIGN(files.profile, read_profile(name, path, policy_dirs, files.document));
    files.profiles[name] = std::exchange(files.profile.value, {});
  }
  return files;
}

Error located(const PolicyFiles& files, Error error) {
  const bool profile = error.operation == kSeccompProfile && !files.profile.file_name.empty();
  return located(profile ? files.profile : files.document, std::move(error));
}

Result<SandboxSpec> load_policy(const std::string& name_or_path, const std::vector<std::string>& policy_dirs,
                                const json& overrides) {
  BULKHEAD_ASSIGN(const PolicyFiles files, read_policy_files(name_or_path, policy_dirs, overrides));
  auto spec = SandboxSpec::from_policy(files.policy, files.profiles);
  if (spec) return spec;
  Error error = std::move(spec).error();
  // Overrides have no lines; a place in the file would blame what is right.
  if (!error.object.empty() && overrides.contains(json::json_pointer(error.object))) {
    error.operation = "override of policy '" + printable(name_or_path, 80) + "':";
    return std::unexpected(std::move(error));
  }
  return std::unexpected(located(files, std::move(error)));
}

}  // namespace bulkhead
