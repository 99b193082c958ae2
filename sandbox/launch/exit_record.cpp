#include "sandbox/launch/exit_record.h"

#include <string.h>

#include <array>
#include <nlohmann/json.hpp>

namespace bulkhead {
namespace {
constexpr std::array kReasons{
    std::pair{EndReason::exited, std::string_view("exited")},
    std::pair{EndReason::signalled, std::string_view("signalled")},
    std::pair{EndReason::out_of_memory, std::string_view("out_of_memory")},
    std::pair{EndReason::pids_exhausted, std::string_view("pids_exhausted")},
    std::pair{EndReason::disk_full, std::string_view("disk_full")},
    std::pair{EndReason::wall_time, std::string_view("wall_time")},
    std::pair{EndReason::cpu_time, std::string_view("cpu_time")},
    std::pair{EndReason::idle, std::string_view("idle")},
    std::pair{EndReason::killed_by_request, std::string_view("killed_by_request")},
    std::pair{EndReason::fault_injected, std::string_view("fault_injected")},
    std::pair{EndReason::seccomp, std::string_view("seccomp")},
    std::pair{EndReason::setup_failed, std::string_view("setup_failed")},
    std::pair{EndReason::lost, std::string_view("lost")},
};
}  // namespace

std::string_view name(EndReason reason) {
  for (const auto& [value, word] : kReasons)
    if (value == reason) return word;
  return "lost";
}

Result<EndReason> parse_end_reason(std::string_view word) {
  for (const auto& [value, known] : kReasons)
    if (known == word) return value;
  return fail("parse end reason", std::string(word), "not a known reason");
}

void describe_end(ExitRecord& r) {
  switch (r.reason) {
    case EndReason::exited:
      r.detail = "exited with status " + std::to_string(r.exit_code);
      break;
    case EndReason::signalled: {
      const char* const word = ::sigabbrev_np(r.signal);
      r.detail = "killed by signal " + (word != nullptr ? std::string("SIG") + word : std::to_string(r.signal));
      break;
    }
    case EndReason::seccomp:
      r.detail = "made a system call that the filter kills for";
      break;
    case EndReason::idle:
      r.detail = "did nothing for too long";
      break;
    case EndReason::killed_by_request:
      r.detail = "killed by request";
      break;
    case EndReason::fault_injected:
      r.detail = "killed by an injected fault";
      break;
    default:
      break;
  }
}

void to_json(nlohmann::json& json, const Denial& d) {
  json = {{"call", d.call}, {"times", d.times}, {"who", d.who}, {"arguments", d.arguments}};
}

void from_json(const nlohmann::json& json, Denial& d) {
  json.at("call").get_to(d.call);
  json.at("times").get_to(d.times);
  json.at("who").get_to(d.who);
  json.at("arguments").get_to(d.arguments);
}

void to_json(nlohmann::json& json, const Pressure& p) {
  json = {{"cpu_ms", p.cpu_ms}, {"memory_ms", p.memory_ms}, {"io_ms", p.io_ms}};
}

void from_json(const nlohmann::json& json, Pressure& p) {
  json.at("cpu_ms").get_to(p.cpu_ms);
  json.at("memory_ms").get_to(p.memory_ms);
  json.at("io_ms").get_to(p.io_ms);
}

void to_json(nlohmann::json& json, const ExitRecord& r) {
  json = {{"id", r.id},
          {"reason", name(r.reason)},
          {"exit_code", r.exit_code},
          {"signal", r.signal},
          {"step", r.step},
          {"step_errno", r.step_errno},
          {"detail", r.detail},
          {"origin", r.origin},
          {"wall_ms", r.wall_ms},
          {"disk_bytes", r.disk_bytes},
          {"disk_inodes", r.disk_inodes},
          {"disk_full", r.disk_full},
          {"inodes_full", r.inodes_full},
          {"stdout_dropped", r.stdout_dropped},
          {"stderr_dropped", r.stderr_dropped},
          {"ended_unix_ms", r.ended_unix_ms},
          {"denials", r.denials}};
  if (!r.metered) return;
  json["cpu_ms"] = r.cpu_ms;
  json["peak_memory"] = r.peak_memory;
  json["oom_kills"] = r.oom_kills;
  json["pids_refusals"] = r.pids_refusals;
  json["pressure"] = r.pressure;
}

void from_json(const nlohmann::json& json, ExitRecord& r) {
  json.at("id").get_to(r.id);
  r.reason = parse_end_reason(json.at("reason").get<std::string>()).value_or(EndReason::lost);
  json.at("exit_code").get_to(r.exit_code);
  json.at("signal").get_to(r.signal);
  json.at("step").get_to(r.step);
  json.at("step_errno").get_to(r.step_errno);
  json.at("detail").get_to(r.detail);
  json.at("origin").get_to(r.origin);
  json.at("wall_ms").get_to(r.wall_ms);
  r.metered = json.contains("cpu_ms");
  if (r.metered) {
    json.at("cpu_ms").get_to(r.cpu_ms);
    json.at("peak_memory").get_to(r.peak_memory);
    json.at("oom_kills").get_to(r.oom_kills);
    json.at("pids_refusals").get_to(r.pids_refusals);
    if (const auto pressure = json.find("pressure"); pressure != json.end()) pressure->get_to(r.pressure);
  }
  json.at("disk_bytes").get_to(r.disk_bytes);
  json.at("disk_inodes").get_to(r.disk_inodes);
  json.at("disk_full").get_to(r.disk_full);
  json.at("inodes_full").get_to(r.inodes_full);
  json.at("stdout_dropped").get_to(r.stdout_dropped);
  json.at("stderr_dropped").get_to(r.stderr_dropped);
  json.at("ended_unix_ms").get_to(r.ended_unix_ms);
  if (const auto denials = json.find("denials"); denials != json.end()) denials->get_to(r.denials);
}

int exit_status(const ExitRecord& r) {
  switch (r.reason) {
    case EndReason::exited:
      return r.exit_code;
    case EndReason::setup_failed:
    case EndReason::lost:
      return r.reason == EndReason::setup_failed ? 3 : 5;
    case EndReason::wall_time:
    case EndReason::cpu_time:
    case EndReason::idle:
      return 124;
    default:
      if (r.signal != 0) return 128 + r.signal;
      return r.exit_code >= 0 ? r.exit_code : 137;
  }
}

}  // namespace bulkhead
