// The control protocol between `bulkhead` and bulkheadd: typed messages over STATE/control.sock, a unix stream socket.
// One JSON object a line, at most kMaxLine bytes with its newline; unknown verbs, unknown keys and wrong types are
// refused. One connection carries one request and its replies:
//
//   run        -> accepted, event…, finished       (with bulkheadd --once, closing the connection cancels the run)
//   cancel     -> accepted                         kill -> accepted
//   subscribe  -> accepted, event…, finished       (all events of the run from its first on, then live ones)
//   status     -> status
//   shell      -> accepted, finished               (three descriptors ride on the request's line)
//
// A connection that has a run may send further cancel requests on it. Every request may be answered with error instead.
//
// Pure: nothing here reads a socket (connection.h, server.h and client.h do).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

inline constexpr std::size_t kMaxLine = std::size_t{1} << 20;
inline constexpr int kProtocolVersion = 1;

// Whose work it is. The daemon opens every path of a caller as this identity, never as its own.
struct CallerIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string user;
  std::string home;
  std::map<std::string, std::string> environment;  // PATH, locale, terminal: what policies may pass on
  bool operator==(const CallerIdentity&) const = default;
};

// A policy as the client read it (the daemon has no YAML): canonical JSON, and the file for messages to people.
struct PolicyDocument {
  nlohmann::json document;
  std::string file;  // "" for a built-in one
  bool operator==(const PolicyDocument&) const = default;
};

enum class KeepWorkspaces { no, yes };

struct RunRequest {
  std::string run;                                 // proposed name; refused when the journal knows it already
  nlohmann::json workflow;                         // canonical JSON, policies by the names that `policies` resolves
  std::string workflow_file;                       // for messages; "" for `run -- CMD`
  std::string repository;                          // absolute path of the working tree or bare repository
  std::map<std::string, PolicyDocument> policies;  // by the name the workflow uses
  std::map<std::string, nlohmann::json> seccomp;   // OCI profiles by the name the policies use
  CallerIdentity caller;
  KeepWorkspaces keep_workspaces = KeepWorkspaces::no;
  bool operator==(const RunRequest&) const = default;
};

struct CancelRequest {
  std::string run;
  bool operator==(const CancelRequest&) const = default;
};

struct KillRequest {
  std::string run;
  std::string agent;
  bool operator==(const KillRequest&) const = default;
};

struct StatusRequest {
  bool operator==(const StatusRequest&) const = default;
};

struct TerminalSize {
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  bool operator==(const TerminalSize&) const = default;
};

// Comes with exactly three descriptors: stdin, stdout, stderr of the command. With `terminal` all three are one pty
// made by the client for this request, never the caller's own terminal (TIOCSTI, CVE-2017-5226).
struct ShellRequest {
  std::string run;
  std::string agent;
  std::vector<std::string> argv;  // empty: the sandbox's shell
  std::optional<TerminalSize> terminal;
  std::string term;  // $TERM
  bool operator==(const ShellRequest&) const = default;
};

struct SubscribeRequest {
  std::string run;
  bool operator==(const SubscribeRequest&) const = default;
};

using Request = std::variant<RunRequest, CancelRequest, KillRequest, StatusRequest, ShellRequest, SubscribeRequest>;

// The first line of a daemon on its --ready-fd when it serves; else that line is an ErrorReply.
struct ReadyReply {
  std::int64_t pid = 0;
  bool operator==(const ReadyReply&) const = default;
};

struct AcceptedReply {
  std::string run;
  bool operator==(const AcceptedReply&) const = default;
};

struct EventReply {
  nlohmann::json event;  // as the journal has it
  bool operator==(const EventReply&) const = default;
};

struct FinishedReply {
  std::string run;
  std::string outcome;  // one word or phrase for people: "done", "failed", "cancelled", "exited", ...
  int exit_code = 0;    // what the client ends with
  bool operator==(const FinishedReply&) const = default;
};

struct StatusReply {
  std::int64_t pid = 0;
  std::string version;
  bool once = false;
  std::vector<std::string> runs;  // those that are live
  bool operator==(const StatusReply&) const = default;
};

struct ErrorReply {
  std::string text;
  std::string hint;
  int exit_code = 5;
  bool operator==(const ErrorReply&) const = default;
};

using Reply = std::variant<ReadyReply, AcceptedReply, EventReply, FinishedReply, StatusReply, ErrorReply>;

nlohmann::json to_json(const Request& request);
nlohmann::json to_json(const Reply& reply);
Result<Request> request_from_json(const nlohmann::json& message);
Result<Reply> reply_from_json(const nlohmann::json& message);

// A line with its newline. Refused when it would be longer than kMaxLine.
Result<std::string> encode(const Request& request);
Result<std::string> encode(const Reply& reply);
// `line` without its newline.
Result<Request> decode_request(std::string_view line);
Result<Reply> decode_reply(std::string_view line);

ErrorReply error_reply(const Error& error, int exit_code);

// Names of runs and agents as they appear in paths, branches and cgroups: [a-z0-9][a-z0-9._-]{0,62}, without "..", a
// final "." or ".lock" (git refuses those in a ref); "latest" is a word of the command line.
Result<> check_run_name(std::string_view name);
Result<> check_agent_name(std::string_view name);

}  // namespace bulkhead
