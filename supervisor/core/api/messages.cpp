#include "supervisor/core/api/messages.h"

#include <algorithm>
#include <array>

#include "sandbox/base/text.h"
#include "supervisor/core/api/fields.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;  // of nesting: dumping a document is recursive

json identity_to_json(const CallerIdentity& caller) {
  return {{"uid", caller.uid},   {"gid", caller.gid},   {"groups", caller.groups},
          {"user", caller.user}, {"home", caller.home}, {"environment", caller.environment}};
}

Result<CallerIdentity> identity_from_json(const json& object) {
  Fields fields("caller", object);
  CallerIdentity caller{.uid = fields.number<uid_t>("uid"),
                        .gid = fields.number<gid_t>("gid"),
                        .groups = fields.numbers<gid_t>("groups"),
                        .user = fields.text("user"),
                        .home = fields.text("home"),
                        .environment = fields.text_map("environment")};
  // -1 means "leave as it is" to setresuid and friends: never an identity.
  if (caller.uid == static_cast<uid_t>(-1)) fields.wrong("uid", "a user id");
  if (caller.gid == static_cast<gid_t>(-1)) fields.wrong("gid", "a group id");
  BULKHEAD_TRY(fields.finish());
  return caller;
}

struct RequestEncoder {
  json operator()(const RunRequest& r) const {
    json policies = json::object();
    for (const auto& [name, policy] : r.policies)
      policies[name] = {{"document", policy.document}, {"file", policy.file}};
    return {{"verb", "run"},
            {"run", r.run},
            {"workflow", r.workflow},
            {"workflow_file", r.workflow_file},
            {"repository", r.repository},
            {"policies", policies},
            {"seccomp", r.seccomp},
            {"caller", identity_to_json(r.caller)},
            {"keep_workspaces", r.keep_workspaces == KeepWorkspaces::yes}};
  }
  json operator()(const CancelRequest& r) const { return {{"verb", "cancel"}, {"run", r.run}}; }
  json operator()(const KillRequest& r) const { return {{"verb", "kill"}, {"run", r.run}, {"agent", r.agent}}; }
  json operator()(const StatusRequest&) const { return {{"verb", "status"}}; }
  json operator()(const ShellRequest& r) const {
    json out = {{"verb", "shell"}, {"run", r.run}, {"agent", r.agent}, {"argv", r.argv}, {"term", r.term}};
    if (r.terminal) out["terminal"] = {{"rows", r.terminal->rows}, {"columns", r.terminal->columns}};
    return out;
  }
  json operator()(const SubscribeRequest& r) const { return {{"verb", "subscribe"}, {"run", r.run}}; }
};

struct ReplyEncoder {
  json operator()(const ReadyReply& r) const { return {{"reply", "ready"}, {"pid", r.pid}}; }
  json operator()(const AcceptedReply& r) const { return {{"reply", "accepted"}, {"run", r.run}}; }
  json operator()(const EventReply& r) const { return {{"reply", "event"}, {"event", r.event}}; }
  json operator()(const FinishedReply& r) const {
    return {{"reply", "finished"}, {"run", r.run}, {"outcome", r.outcome}, {"exit_code", r.exit_code}};
  }
  json operator()(const StatusReply& r) const {
    return {{"reply", "status"}, {"pid", r.pid}, {"version", r.version}, {"once", r.once}, {"runs", r.runs}};
  }
  json operator()(const ErrorReply& r) const {
    return {{"reply", "error"}, {"text", r.text}, {"hint", r.hint}, {"exit_code", r.exit_code}};
  }
};

template <class T, class Message>
Result<T> checked(Fields& fields, Message message) {
  BULKHEAD_TRY(fields.finish());
  return T(std::move(message));
}

Result<Request> read_run(const json& message) {
  Fields fields("run", message);
  fields.text("verb");
  RunRequest r{.run = fields.text("run"),
               .workflow = fields.object("workflow"),
               .workflow_file = fields.text("workflow_file"),
               .repository = fields.text("repository")};
  json policies = fields.object("policies");
  json seccomp = fields.object("seccomp");
  json caller = fields.object("caller");
  r.keep_workspaces = fields.flag("keep_workspaces") ? KeepWorkspaces::yes : KeepWorkspaces::no;
  if (!r.repository.starts_with('/')) fields.wrong("repository", "an absolute path");
  BULKHEAD_TRY(fields.finish());
  BULKHEAD_TRY(check_run_name(r.run));
  for (const auto& [name, value] : policies.items()) {
    Fields policy("policy", value);
    PolicyDocument document{.document = policy.object("document"), .file = policy.text("file")};
    BULKHEAD_TRY(policy.finish());
    r.policies.emplace(name, std::move(document));
  }
  for (const auto& [name, value] : seccomp.items()) {
    if (!value.is_object())
      return fail("read message", "run", "seccomp profile '" + printable(name, 80) + "' is not an object");
    r.seccomp.emplace(name, value);
  }
  BULKHEAD_ASSIGN(r.caller, identity_from_json(caller));
  return r;
}

Result<Request> read_shell(const json& message) {
  Fields fields("shell", message);
  fields.text("verb");
  ShellRequest r{.run = fields.text("run"),
                 .agent = fields.text("agent"),
                 .argv = fields.texts("argv"),
                 .terminal = {},
                 .term = fields.text("term")};
  if (const json* terminal = fields.optional("terminal")) {
    Fields size("terminal", *terminal);
    r.terminal = {.rows = size.number<std::uint16_t>("rows"), .columns = size.number<std::uint16_t>("columns")};
    BULKHEAD_TRY(size.finish());
  }
  return checked<Request>(fields, std::move(r));
}

// Nesting outside of strings; the parser is iterative, what handles documents afterwards is not.
bool too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"')
      in_string = true;
    else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}')
      --depth;
  }
  return false;
}

Result<json> parse_line(std::string_view line) {
  if (line.size() >= kMaxLine) return fail("read message", "", "it is longer than 1 MiB");
  if (too_deep(line)) return fail("read message", "", "it is nested deeper than 64 levels");
  json message = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (message.is_discarded()) return fail("read message", "", "it is not JSON: " + printable(line, 80));
  return message;
}

Result<std::string> to_line(const json& message) {
  std::string line;
  try {
    line = message.dump();
  } catch (const json::type_error&) {  // the only throw of dump(): bytes that JSON cannot carry unchanged
    return fail("send message", "", "it holds text that is not UTF-8", "names, arguments and paths of a run are UTF-8");
  }
  line += '\n';
  if (line.size() > kMaxLine)
    return fail("send message", "", "it is " + std::to_string(line.size()) + " bytes, more than 1 MiB",
                "make the workflow or its policies smaller");
  return line;
}

std::string word(const json& message, const char* key) {
  if (!message.is_object()) return {};
  auto it = message.find(key);
  return it != message.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Result<> check_name(std::string_view what, std::string_view name) {
  auto small = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool right = !name.empty() && name.size() <= 63 && small(name.front()) &&
               std::ranges::all_of(name, [&](char c) { return small(c) || c == '.' || c == '_' || c == '-'; });
  if (!right)
    return fail("name of " + std::string(what), "'" + printable(name, 80) + "'",
                "expected up to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit");
  if (name.find("..") != std::string_view::npos || name.ends_with('.') || name.ends_with(".lock"))
    return fail("name of " + std::string(what), "'" + std::string(name) + "'",
                "it becomes a git branch, and git takes no '..', no final '.' and no final '.lock'");
  return {};
}

}  // namespace

json to_json(const Request& request) { return std::visit(RequestEncoder{}, request); }
json to_json(const Reply& reply) { return std::visit(ReplyEncoder{}, reply); }

Result<Request> request_from_json(const json& message) {
  std::string verb = word(message, "verb");
  if (verb == "run") return read_run(message);
  if (verb == "shell") return read_shell(message);
  Fields fields(verb, message);
  fields.text("verb");
  if (verb == "cancel") return checked<Request>(fields, CancelRequest{fields.text("run")});
  if (verb == "kill") {
    std::string run = fields.text("run");
    return checked<Request>(fields, KillRequest{run, fields.text("agent")});
  }
  if (verb == "status") return checked<Request>(fields, StatusRequest{});
  if (verb == "subscribe") return checked<Request>(fields, SubscribeRequest{fields.text("run")});
  static const std::array<std::string, 6> verbs{"run", "cancel", "kill", "status", "shell", "subscribe"};
  return fail("read message", "", "unknown verb '" + printable(verb, 80) + "', expected " + one_of(verbs));
}

Result<Reply> reply_from_json(const json& message) {
  std::string kind = word(message, "reply");
  Fields fields(kind, message);
  fields.text("reply");
  if (kind == "ready") return checked<Reply>(fields, ReadyReply{fields.number<std::int64_t>("pid")});
  if (kind == "accepted") return checked<Reply>(fields, AcceptedReply{fields.text("run")});
  if (kind == "event") return checked<Reply>(fields, EventReply{fields.object("event")});
  if (kind == "finished") {
    FinishedReply r{
        .run = fields.text("run"), .outcome = fields.text("outcome"), .exit_code = fields.number<int>("exit_code")};
    return checked<Reply>(fields, std::move(r));
  }
  if (kind == "status") {
    StatusReply r{.pid = fields.number<std::int64_t>("pid"),
                  .version = fields.text("version"),
                  .once = fields.flag("once"),
                  .runs = fields.texts("runs")};
    return checked<Reply>(fields, std::move(r));
  }
  if (kind == "error") {
    ErrorReply r{
        .text = fields.text("text"), .hint = fields.text("hint"), .exit_code = fields.number<int>("exit_code")};
    return checked<Reply>(fields, std::move(r));
  }
  return fail("read message", "", "unknown reply '" + printable(kind, 80) + "'",
              "bulkhead and bulkheadd are of different versions; use those of one build");
}

Result<std::string> encode(const Request& request) { return to_line(to_json(request)); }
Result<std::string> encode(const Reply& reply) { return to_line(to_json(reply)); }

Result<Request> decode_request(std::string_view line) {
  BULKHEAD_ASSIGN(json message, parse_line(line));
  return request_from_json(message);
}

Result<Reply> decode_reply(std::string_view line) {
  BULKHEAD_ASSIGN(json message, parse_line(line));
  return reply_from_json(message);
}

ErrorReply error_reply(const Error& error, int exit_code) {
  return {.text = error.text(), .hint = error.hint, .exit_code = exit_code};
}

Result<> check_run_name(std::string_view name) {
  if (name == "latest") return fail("name of run", "'latest'", "the word means the newest run");
  return check_name("run", name);
}

Result<> check_agent_name(std::string_view name) { return check_name("agent", name); }

}  // namespace bulkhead
