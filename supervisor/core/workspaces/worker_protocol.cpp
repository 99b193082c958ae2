#include "supervisor/core/workspaces/worker_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "sandbox/base/text.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

std::string agent_branch(std::string_view run, std::string_view agent) {
  return "bulkhead/" + std::string(run) + "/" + std::string(agent);
}

std::string agent_pin(std::string_view run, std::string_view agent) {
  return "refs/" + agent_branch(run, agent) + "/tip";
}

std::string agent_worktree_entry(std::string_view run, std::string_view agent) {
  return "bulkhead-" + std::string(run) + "-" + std::string(agent);
}

std::vector<SeedEntry> workspace_seed(std::string_view branch, const ObjectId& base) {
  std::vector<SeedEntry> entries{{.path = ".git", .directory = true}};
  std::string path = ".git/refs";
  entries.push_back({.path = path, .directory = true});
  const auto parts = split("heads/" + std::string(branch), '/');
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    path += "/" + parts[i];
    entries.push_back({.path = path, .directory = true});
  }
  entries.push_back({.path = path + "/" + parts.back(), .content = base + "\n"});
  entries.push_back({.path = ".git/HEAD", .content = "ref: refs/heads/" + std::string(branch) + "\n"});
  return entries;
}

namespace {

using nlohmann::json;

enum class Need { required, optional };

// What a text may be. One listing of each struct's members (describe, below) serves argv and JSON, both ways.
enum class Kind { text, path, object, stream, state_name, digest };

constexpr std::size_t max_text = 4096;

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::text:
      return "a text of at most 4096 bytes";
    case Kind::path:
      return "an absolute path";
    case Kind::object:
      return "a full object id";
    case Kind::stream:
      return "an absolute path or fd:N";
    case Kind::state_name:
      return "a name ([a-z0-9][a-z0-9._-]{0,62})";
    case Kind::digest:
      return "a digest (sha256:…)";
  }
  return {};
}

bool is_fd_stream(std::string_view text) {
  return text.starts_with("fd:") && text.size() > 3 && text.size() < 8 &&
         std::ranges::all_of(text.substr(3), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_kind(Kind kind, std::string_view text) {
  if (text.size() > max_text || text.find('\0') != std::string_view::npos) return false;
  switch (kind) {
    case Kind::text:
      return true;
    case Kind::path:
      return text.starts_with('/');
    case Kind::object:
      return is_object_id(text);
    case Kind::stream:
      return text.starts_with('/') || is_fd_stream(text);
    case Kind::state_name:
      return is_state_name(text);
    case Kind::digest:
      return text.starts_with("sha256:") && text.size() == 7 + 64 && is_object_id(text.substr(7));
  }
  return false;
}

constexpr std::array<std::string_view, 2> ref_fates{"keep", "remove"};
constexpr std::array<std::string_view, 4> merge_outcomes{"already_merged", "fast_forward", "merged", "conflict"};
constexpr std::array<std::string_view, 5> host_kinds{"file", "directory", "socket", "other", "hidden"};
constexpr auto words_of(HostKind) { return std::span<const std::string_view>(host_kinds); }
constexpr std::array<std::string_view, 2> image_attributes{"drop", "user"};
constexpr auto words_of(RefFate) { return std::span<const std::string_view>(ref_fates); }
constexpr auto words_of(MergeOutcome) { return std::span<const std::string_view>(merge_outcomes); }
constexpr auto words_of(ImageAttributes) { return std::span<const std::string_view>(image_attributes); }

// clang-format off
void describe(auto& v, InspectRequest& r) {
  v.text("repository", r.repository, Kind::path);
  v.text("base", r.base, Kind::text);
  v.text("target", r.target, Kind::text, Need::optional);
  v.text("config_home", r.config_home, Kind::path, Need::optional);
}
void describe(auto& v, PackRequest& r) {
  v.text("git_dir", r.git_dir, Kind::path);
  v.text("tip", r.tip, Kind::object);
  v.texts("exclude", r.exclude, Kind::object, 64);
  v.text("pack", r.pack, Kind::stream);
  v.text("shallow", r.shallow, Kind::stream, Need::optional);
}
void describe(auto& v, RegisterRequest& r) {
  v.text("git_dir", r.git_dir, Kind::path);
  v.text("run", r.run, Kind::state_name);
  v.text("agent", r.agent, Kind::state_name);
  v.text("base", r.base, Kind::object);
  v.text("stub", r.stub, Kind::path);
}
void describe(auto& v, UnregisterRequest& r) {
  v.text("git_dir", r.git_dir, Kind::path);
  v.text("run", r.run, Kind::state_name);
  v.text("agent", r.agent, Kind::state_name);
  v.choice("branch", r.branch);
  v.choice("pin", r.pin);
  v.text("only_if", r.only_if, Kind::object, Need::optional);
  v.text("stub", r.stub, Kind::path);
}
void describe(auto& v, IngestRequest& r) {
  v.text("git_dir", r.git_dir, Kind::path);
  v.text("run", r.run, Kind::state_name);
  v.text("agent", r.agent, Kind::state_name);
  v.text("base", r.base, Kind::object);
  v.text("tip", r.tip, Kind::object);
  v.text("old", r.old, Kind::object);
  v.text("pack", r.pack, Kind::stream, Need::optional);
}
void describe(auto& v, MergePrepareRequest& r) {
  v.text("git_dir", r.git_dir, Kind::path);
  v.text("ours", r.ours, Kind::object);
  v.text("tip", r.tip, Kind::object);
  v.text("message", r.message, Kind::text);
  v.text("name", r.name, Kind::text);
  v.text("email", r.email, Kind::text);
  v.number("time", r.time);
}
void describe(auto& v, MergeCommitRequest& r) {
  v.text("git_dir", r.git_dir, Kind::path);
  v.text("target", r.target, Kind::text);
  v.text("expect_old", r.expect_old, Kind::object, Need::optional);
  v.text("commit", r.commit, Kind::object);
  v.text("reason", r.reason, Kind::text);
  v.text("name", r.name, Kind::text);
  v.text("email", r.email, Kind::text);
}
void describe(auto& v, MakeBaseRequest& r) {
  v.text("pack", r.pack, Kind::stream);
  v.text("shallow", r.shallow, Kind::stream, Need::optional);
  v.text("base", r.base, Kind::object);
  v.text("object_format", r.object_format, Kind::text);
  v.text("tree", r.tree, Kind::path);
}
void describe(auto& v, MaterializeRequest& r) {
  v.text("workspace", r.workspace, Kind::path);
  v.text("base_tree", r.base_tree, Kind::path);
  v.text("pack", r.pack, Kind::stream, Need::optional);
  v.text("commit", r.commit, Kind::object);
  v.text("branch", r.branch, Kind::text, Need::optional);
}
void describe(auto& v, FinishRequest& r) {
  v.text("workspace", r.workspace, Kind::path);
  v.text("base_tree", r.base_tree, Kind::path);
  v.text("branch", r.branch, Kind::text);
  v.text("base", r.base, Kind::object);
  v.text("name", r.name, Kind::text);
  v.text("email", r.email, Kind::text);
  v.text("message", r.message, Kind::text);
  v.number("max_bytes", r.max_bytes);
}
void describe(auto& v, HeadRequest& r) {
  v.text("workspace", r.workspace, Kind::path);
  v.text("base_tree", r.base_tree, Kind::path);
  v.text("branch", r.branch, Kind::text);
  v.text("base", r.base, Kind::object);
}
void describe(auto& v, ExportRequest& r) {
  v.text("workspace", r.workspace, Kind::path);
  v.text("base_tree", r.base_tree, Kind::path);
  v.text("branch", r.branch, Kind::text);
  v.text("base", r.base, Kind::object);
  v.text("pack", r.pack, Kind::stream);
  v.number("max_bytes", r.max_bytes);
  v.number("max_paths", r.max_paths);
}
void describe(auto& v, CopyTreeRequest& r) {
  v.text("from", r.from, Kind::path);
  v.text("to", r.to, Kind::path);
  v.texts("exclude", r.exclude, Kind::text, 256);
  v.number("max_bytes", r.max_bytes);
  v.number("max_files", r.max_files);
}
void describe(auto& v, RemoveTreeRequest& r) { v.text("directory", r.directory, Kind::path); }
void describe(auto& v, HostLookRequest& r) { v.text("paths", r.paths, Kind::stream); }

void describe(auto& v, HostPath& f) {
  v.text("wanted", f.wanted, Kind::path);
  v.text("end", f.end, Kind::path);
  v.texts("links", f.links, Kind::path, 40);
  v.choice("kind", f.kind);
  v.flag("for_everybody", f.for_everybody);
  v.text("interpreter", f.interpreter, Kind::text, Need::optional);
}
void describe(auto& v, HostLook& f) {
  v.list("paths", f.paths, kMostHostPaths);
  v.flag("more", f.more);
}
void describe(auto& v, SelectImageRequest& r) {
  v.text("layout", r.layout, Kind::path);
  v.text("reference", r.reference, Kind::text, Need::optional);
  v.text("digest", r.digest, Kind::digest, Need::optional);
  v.text("architecture", r.architecture, Kind::text);
}
void describe(auto& v, UnpackImageRequest& r) {
  v.text("layout", r.layout, Kind::path);
  v.text("digest", r.digest, Kind::digest);
  v.text("architecture", r.architecture, Kind::text);
  v.text("tree", r.tree, Kind::path);
  v.choice("attributes", r.attributes);
  v.number("max_bytes", r.max_bytes);
  v.number("max_entries", r.max_entries);
}

void describe(auto& v, WorktreeFact& f) {
  v.text("path", f.path, Kind::text);
  v.text("branch", f.branch, Kind::text, Need::optional);
  v.flag("locked", f.locked);
}
void describe(auto& v, InspectFacts& f) {
  v.text("git_dir", f.git_dir, Kind::path);
  v.text("common_dir", f.common_dir, Kind::path);
  v.text("top_level", f.top_level, Kind::path, Need::optional);
  v.text("object_format", f.object_format, Kind::text);
  v.flag("bare", f.bare);
  v.flag("shallow", f.shallow);
  v.number("submodules", f.submodules);
  v.texts("object_directories", f.object_directories, Kind::path, 16);
  v.text("base", f.base, Kind::object);
  v.text("head", f.head, Kind::object, Need::optional);
  v.text("head_branch", f.head_branch, Kind::text, Need::optional);
  v.flag("dirty", f.dirty);
  v.number("dirty_files", f.dirty_files);
  v.list("worktrees", f.worktrees, 64);
  v.number("worktrees_total", f.worktrees_total);
  v.text("target_ref", f.target_ref, Kind::text, Need::optional);
  v.text("target", f.target, Kind::object, Need::optional);
  v.text("target_checked_out", f.target_checked_out, Kind::text, Need::optional);
  v.flag("target_dirty", f.target_dirty);
  v.text("committer_name", f.committer_name, Kind::text);
  v.text("committer_email", f.committer_email, Kind::text);
}
void describe(auto& v, PackFacts& f) {
  v.number("objects", f.objects);
  v.number("bytes", f.bytes);
}
void describe(auto& v, RegisterFacts& f) {
  v.text("branch", f.branch, Kind::object);
  v.text("pin", f.pin, Kind::object);
  v.flag("created", f.created);
}
void describe(auto& v, UnregisterFacts& f) {
  v.flag("entry_removed", f.entry_removed);
  v.flag("branch_removed", f.branch_removed);
  v.flag("pin_removed", f.pin_removed);
  v.text("branch", f.branch, Kind::object, Need::optional);
}
void describe(auto& v, IngestFacts& f) {
  v.flag("moved", f.moved);
  v.number("objects", f.objects);
}
void describe(auto& v, MergeFacts& f) {
  v.choice("outcome", f.outcome);
  v.text("commit", f.commit, Kind::object, Need::optional);
  v.text("tree", f.tree, Kind::object, Need::optional);
  v.texts("conflicts", f.conflicts, Kind::text, 1024);
  v.number("conflicts_total", f.conflicts_total);
  v.texts("messages", f.messages, Kind::text, 1024);
}
void describe(auto& v, MergeCommitFacts& f) { v.flag("moved", f.moved); }
void describe(auto& v, MakeBaseFacts& f) {
  v.number("files", f.files);
  v.number("objects", f.objects);
}
void describe(auto& v, MaterializeFacts& f) {
  v.text("tree", f.tree, Kind::object);
  v.number("changed", f.changed);
}
void describe(auto& v, FinishFacts& f) {
  v.flag("committed", f.committed);
  v.text("tip", f.tip, Kind::object);
  v.flag("on_branch", f.on_branch);
  v.number("changed", f.changed);
  v.number("left_out", f.left_out);
}
void describe(auto& v, HeadFacts& f) {
  v.text("tip", f.tip, Kind::object);
  v.flag("on_branch", f.on_branch);
  v.flag("descends", f.descends);
  v.number("commits", f.commits);
}
void describe(auto& v, ChangedPath& f) {
  v.text("path", f.path, Kind::text);
  v.text("status", f.status, Kind::text);
  v.text("mode", f.mode, Kind::text);
  v.number("added", f.added);
  v.number("removed", f.removed);
  v.flag("binary", f.binary);
}
void describe(auto& v, ExportFacts& f) {
  v.text("tip", f.tip, Kind::object);
  v.flag("on_branch", f.on_branch);
  v.flag("descends", f.descends);
  v.number("commits", f.commits);
  v.number("objects", f.objects);
  v.number("pack_bytes", f.pack_bytes);
  v.list("paths", f.paths, 1024);
  v.number("paths_total", f.paths_total);
  v.number("added_total", f.added_total);
  v.number("removed_total", f.removed_total);
}
void describe(auto& v, CopyTreeFacts& f) {
  v.number("files", f.files);
  v.number("directories", f.directories);
  v.number("links", f.links);
  v.number("whiteouts", f.whiteouts);
  v.number("hard_links", f.hard_links);
  v.number("fifos", f.fifos);
  v.number("bytes", f.bytes);
  v.number("skipped", f.skipped);
  v.number("vanished", f.vanished);
}
void describe(auto& v, RemoveTreeFacts& f) { v.number("removed", f.removed); }
void describe(auto& v, SelectImageFacts& f) { v.text("digest", f.digest, Kind::digest); }
void describe(auto& v, UnpackImageFacts& f) {
  v.texts("environment", f.environment, Kind::text, 256);
  v.number("layers", f.layers);
  v.number("bytes", f.bytes);
  v.number("entries", f.entries);
  v.number("left_out", f.left_out);
}
// clang-format on

std::string option_name(std::string_view member) {
  std::string name = "--" + std::string(member);
  std::ranges::replace(name, '_', '-');
  return name;
}

struct ArgvWriter {
  std::vector<std::string>& argv;

  void add(std::string_view member, std::string value) {
    argv.push_back(option_name(member));
    argv.push_back(std::move(value));
  }
  void text(std::string_view member, const std::string& value, Kind, Need = Need::required) {
    if (!value.empty()) add(member, value);
  }
  void texts(std::string_view member, const std::vector<std::string>& values, Kind, std::size_t) {
    for (const std::string& value : values) add(member, value);
  }
  void number(std::string_view member, std::uint64_t value) { add(member, std::to_string(value)); }
  template <class Enum>
  void choice(std::string_view member, Enum value) {
    add(member, std::string(words_of(value)[static_cast<std::size_t>(value)]));
  }
};

// Takes what it knows out of `given`; the first thing wrong stays in `error`.
struct ArgvReader {
  std::vector<std::pair<std::string, std::string>> given;
  std::vector<std::string> known;
  Result<> error;

  std::vector<std::string> take(std::string_view member) {
    const std::string name = option_name(member);
    known.push_back(name);
    std::vector<std::string> values;
    std::erase_if(given, [&](auto& option) {
      if (option.first != name) return false;
      values.push_back(std::move(option.second));
      return true;
    });
    return values;
  }
  void refuse(std::string_view member, std::string why) {
    if (error) error = fail("read option", option_name(member), std::move(why));
  }
  std::optional<std::string> one(std::string_view member) {
    auto values = take(member);
    if (values.size() > 1) refuse(member, "given more than once");
    if (values.empty()) return std::nullopt;
    return std::move(values.front());
  }
  void text(std::string_view member, std::string& out, Kind kind, Need need = Need::required) {
    auto value = one(member);
    if (!value || value->empty()) {
      if (need == Need::required) refuse(member, "missing");
      return;
    }
    if (!is_kind(kind, *value)) return refuse(member, "expected " + std::string(kind_name(kind)));
    out = std::move(*value);
  }
  void texts(std::string_view member, std::vector<std::string>& out, Kind kind, std::size_t limit) {
    out = take(member);
    if (out.size() > limit) refuse(member, "given more than " + std::to_string(limit) + " times");
    for (const std::string& value : out) {
      if (value.empty() || !is_kind(kind, value)) refuse(member, "expected " + std::string(kind_name(kind)));
    }
  }
  void number(std::string_view member, std::uint64_t& out) {
    const auto value = one(member);
    if (!value) return;  // has a default
    const auto [end, code] = std::from_chars(value->data(), value->data() + value->size(), out);
    if (code != std::errc() || end != value->data() + value->size()) refuse(member, "expected a whole number");
  }
  template <class Enum>
  void choice(std::string_view member, Enum& out) {
    const auto value = one(member);
    if (!value) return;
    const auto words = words_of(out);
    const auto found = std::ranges::find(words, *value);
    if (found == words.end()) return refuse(member, "unknown word '" + printable(*value, 64) + "'");
    out = static_cast<Enum>(found - words.begin());
  }
};

struct JsonWriter {
  json& object;

  void text(const char* member, const std::string& value, Kind, Need = Need::required) { object[member] = value; }
  void texts(const char* member, const std::vector<std::string>& values, Kind, std::size_t) { object[member] = values; }
  void number(const char* member, std::uint64_t value) { object[member] = value; }
  void flag(const char* member, bool value) { object[member] = value; }
  template <class Enum>
  void choice(const char* member, Enum value) {
    object[member] = words_of(value)[static_cast<std::size_t>(value)];
  }
  template <class Item>
  void list(const char* member, std::vector<Item>& items, std::size_t) {
    json& array = object[member] = json::array();
    for (Item& item : items) {
      json entry = json::object();
      JsonWriter writer{entry};
      describe(writer, item);
      array.push_back(std::move(entry));
    }
  }
};

struct JsonReader {
  const json& object;
  Result<>& error;
  std::size_t known = 0;

  void refuse(std::string_view member, std::string_view expected) {
    if (error) error = fail("read the worker's answer", std::string(member), "expected " + std::string(expected));
  }
  const json* find(std::string_view member) {
    const auto found = object.find(member);
    if (found == object.end()) {
      refuse(member, "it to be there");
      return nullptr;
    }
    ++known;
    return &*found;
  }
  // Everything in an answer may come from an agent, and may be shown: the worker has escaped it, or it is refused.
  bool good(const json& value, Kind kind, Need need) {
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    if (text.empty()) return need == Need::optional;
    return is_kind(kind, text) && printable(text, text.size()) == text;
  }
  void text(std::string_view member, std::string& out, Kind kind, Need need = Need::required) {
    const json* value = find(member);
    if (value == nullptr) return;
    if (!good(*value, kind, need)) return refuse(member, kind_name(kind));
    out = value->get<std::string>();
  }
  void texts(std::string_view member, std::vector<std::string>& out, Kind kind, std::size_t limit) {
    const json* value = find(member);
    if (value == nullptr) return;
    const bool all_good =
        value->is_array() && value->size() <= limit &&
        std::ranges::all_of(*value, [&](const json& text) { return good(text, kind, Need::required); });
    if (!all_good) return refuse(member, "a bounded list, each " + std::string(kind_name(kind)));
    out = value->get<std::vector<std::string>>();
  }
  void number(std::string_view member, std::uint64_t& out) {
    const json* value = find(member);
    if (value == nullptr) return;
    if (!value->is_number_unsigned()) return refuse(member, "a whole number");
    out = value->get<std::uint64_t>();
  }
  void flag(std::string_view member, bool& out) {
    const json* value = find(member);
    if (value == nullptr) return;
    if (!value->is_boolean()) return refuse(member, "true or false");
    out = value->get<bool>();
  }
  template <class Enum>
  void choice(std::string_view member, Enum& out) {
    const json* value = find(member);
    if (value == nullptr) return;
    const auto words = words_of(out);
    const auto found =
        value->is_string() ? std::ranges::find(words, value->get_ref<const std::string&>()) : words.end();
    if (found == words.end()) return refuse(member, "a known word");
    out = static_cast<Enum>(found - words.begin());
  }
  template <class Item>
  void list(std::string_view member, std::vector<Item>& out, std::size_t limit) {
    const json* value = find(member);
    if (value == nullptr) return;
    if (!value->is_array() || value->size() > limit) return refuse(member, "a bounded list");
    for (const json& entry : *value) {
      if (!entry.is_object()) return refuse(member, "a list of objects");
      JsonReader reader{entry, error};
      describe(reader, out.emplace_back());
      reader.finish();
    }
  }
  void finish() {
    if (known != object.size()) refuse("", "no member but the known ones");
  }
};

// Of {"error": …}: what is not a bounded text is left out, since half an error is better than none.
Error read_error(const json& object) {
  const auto text = [&](const char* member) {
    const auto found = object.find(member);
    return found != object.end() && found->is_string() ? printable(found->get_ref<const std::string&>(), max_text)
                                                       : std::string();
  };
  Error error{.operation = text("operation"), .object = text("object"), .detail = text("detail"), .hint = text("hint")};
  const auto code = object.find("code");
  if (code != object.end() && code->is_number_unsigned() && code->get<std::uint64_t>() < 4096)
    error.code = code->get<int>();
  if (error.operation.empty()) error.operation = "run bulkhead-worker";
  return error;
}

}  // namespace

template <class Request>
std::vector<std::string> worker_argv(const Request& request, int facts_fd) {
  std::vector<std::string> argv{"bulkhead-worker", std::string(Request::subcommand)};
  if (facts_fd >= 0) {
    argv.emplace_back("--facts-fd");
    argv.push_back(std::to_string(facts_fd));
  }
  Request copy = request;
  ArgvWriter writer{argv};
  describe(writer, copy);
  return argv;
}

template <class Request>
Result<Request> parse_worker_request(std::span<const std::string> options) {
  ArgvReader reader;
  for (std::size_t i = 0; i < options.size(); i += 2) {
    if (!options[i].starts_with("--")) return fail("read option", printable(options[i], 256), "options begin with --");
    if (i + 1 == options.size()) return fail("read option", printable(options[i], 256), "has no value");
    reader.given.emplace_back(options[i], options[i + 1]);
  }
  Request request;
  describe(reader, request);
  if (!reader.given.empty()) {
    const std::string near = nearest(reader.given.front().first, reader.known);
    return fail("read option", printable(reader.given.front().first, 256),
                "unknown to " + std::string(Request::subcommand), near.empty() ? "" : "did you mean " + near + "?");
  }
  if (!reader.error) return std::unexpected(reader.error.error());
  return request;
}

template <class Facts>
Result<Facts> parse_worker_facts(std::string_view text) {
  if (text.size() > max_worker_facts) {
    return fail("read the worker's answer", "", "longer than " + std::to_string(max_worker_facts) + " bytes");
  }
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return fail("read the worker's answer", "", "not a JSON object");
  if (const auto error = document.find("error"); error != document.end() && error->is_object()) {
    return std::unexpected(read_error(*error));
  }
  Facts facts;
  Result<> error;
  JsonReader reader{document, error};
  describe(reader, facts);
  reader.finish();
  if (!error) return std::unexpected(error.error());
  return facts;
}

template <class Facts>
std::string worker_facts_json(const Facts& facts) {
  json object = json::object();
  Facts copy = facts;
  JsonWriter writer{object};
  describe(writer, copy);
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string worker_error_json(const Error& error) {
  json object{{"operation", printable(error.operation, 1024)},
              {"object", printable(error.object, max_text)},
              {"code", error.code},
              {"detail", printable(error.detail, max_text)},
              {"hint", printable(error.hint, max_text)}};
  return json{{"error", std::move(object)}}.dump() + "\n";
}

#define BULKHEAD_WORKER_REQUEST(Request)                                       \
  template std::vector<std::string> worker_argv<Request>(const Request&, int); \
  template Result<Request> parse_worker_request<Request>(std::span<const std::string>);
#define BULKHEAD_WORKER_FACTS(Facts)                                  \
  template Result<Facts> parse_worker_facts<Facts>(std::string_view); \
  template std::string worker_facts_json<Facts>(const Facts&);
BULKHEAD_WORKER_REQUEST(InspectRequest)
BULKHEAD_WORKER_REQUEST(PackRequest)
BULKHEAD_WORKER_REQUEST(RegisterRequest)
BULKHEAD_WORKER_REQUEST(UnregisterRequest)
BULKHEAD_WORKER_REQUEST(IngestRequest)
BULKHEAD_WORKER_REQUEST(MergePrepareRequest)
BULKHEAD_WORKER_REQUEST(MergeCommitRequest)
BULKHEAD_WORKER_REQUEST(MakeBaseRequest)
BULKHEAD_WORKER_REQUEST(MaterializeRequest)
BULKHEAD_WORKER_REQUEST(FinishRequest)
BULKHEAD_WORKER_REQUEST(HeadRequest)
BULKHEAD_WORKER_REQUEST(HostLookRequest)
BULKHEAD_WORKER_REQUEST(ExportRequest)
BULKHEAD_WORKER_REQUEST(CopyTreeRequest)
BULKHEAD_WORKER_REQUEST(RemoveTreeRequest)
BULKHEAD_WORKER_REQUEST(SelectImageRequest)
BULKHEAD_WORKER_REQUEST(UnpackImageRequest)
BULKHEAD_WORKER_FACTS(InspectFacts)
BULKHEAD_WORKER_FACTS(PackFacts)
BULKHEAD_WORKER_FACTS(RegisterFacts)
BULKHEAD_WORKER_FACTS(UnregisterFacts)
BULKHEAD_WORKER_FACTS(IngestFacts)
BULKHEAD_WORKER_FACTS(MergeFacts)
BULKHEAD_WORKER_FACTS(MergeCommitFacts)
BULKHEAD_WORKER_FACTS(MakeBaseFacts)
BULKHEAD_WORKER_FACTS(MaterializeFacts)
BULKHEAD_WORKER_FACTS(FinishFacts)
BULKHEAD_WORKER_FACTS(HeadFacts)
BULKHEAD_WORKER_FACTS(HostLook)
BULKHEAD_WORKER_FACTS(ExportFacts)
BULKHEAD_WORKER_FACTS(CopyTreeFacts)
BULKHEAD_WORKER_FACTS(RemoveTreeFacts)
BULKHEAD_WORKER_FACTS(SelectImageFacts)
BULKHEAD_WORKER_FACTS(UnpackImageFacts)

}  // namespace bulkhead
