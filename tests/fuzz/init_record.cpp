#include "sandbox/launch/init_record.h"

#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/sys/fd.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {
namespace {

void check(const ExitRecord& record) {
  const int status = exit_status(record);
  require(status >= 0 && status <= 255, "no exit status: " + std::to_string(status));
  const auto text = nlohmann::json(record).dump();  // throws on invalid UTF-8
  require(nlohmann::json::parse(text).get<ExitRecord>() == record, "another record after a round trip");
}

}  // namespace

bool init_record(std::string_view input) {
  static const Fd file(memfd_create("bulkhead-fuzz", MFD_CLOEXEC));
  require(ftruncate(file.get(), 0) == 0, "truncate the record");
  require(pwrite(file.get(), input.data(), input.size(), 0) == static_cast<ssize_t>(input.size()), "write the record");

  check(record_of_init("id", file.get()));
  const auto denials = read_init_denials(file.get());
  require(denials.size() <= kMostInitDenials, "more denials than init can write");
  for (const Denial& denial : denials) {
    require(!denial.call.empty(), "a denial of nothing");
    require(denial.who.find('\x1b') == std::string::npos, "an escape of the agent's for the terminal");
  }
  const auto record = read_init_record(file.get());
  if (!record) return false;
  for (const InitEnd end : {InitEnd::exited, InitEnd::killed}) {
    ExitRecord ended;
    ended.id = "id";
    ended.reason = end == InitEnd::exited ? EndReason::exited : EndReason::signalled;
    if (end == InitEnd::exited) ended.exit_code = 0;
    if (end == InitEnd::killed) ended.signal = 9;
    note_end(ended, *record, end, "command");
    check(ended);
  }
  return true;
}

}  // namespace bulkhead::fuzz
