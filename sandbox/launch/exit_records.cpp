#include "sandbox/launch/exit_records.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/launch/init_record.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

using nlohmann::json;

Result<> write_new_file(const std::string& path, const std::string& text) {
  BULKHEAD_ASSIGN(const Fd fd, open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return errno_error("write", path);
  return {};
}

}  // namespace

std::string file_name(std::string id) {
  std::replace(id.begin(), id.end(), '/', '~');
  return id;
}

Result<> ExitRecords::read() {
  BULKHEAD_ASSIGN(const auto names, list_directory(directory_));
  for (const std::string& name : names) {
    const auto dot = name.rfind('.');
    std::string id = name.substr(0, dot);
    std::replace(id.begin(), id.end(), '~', '/');
    if (name.ends_with(".json")) {
      const auto text = read_file(directory_ + name, 1 << 16);
      const json record = text ? json::parse(*text, nullptr, false) : json();
      try {
        ended_[id] = {.record = record.get<ExitRecord>(), .told = false};
        continue;
      } catch (const json::exception&) {
        // Half written when its launcher died: init's own record is what is left.
      }
    }
    if (ended_.contains(id) || exists(path(id, ".json"))) continue;
    BULKHEAD_ASSIGN(const Fd record, open_file(path(id, ".init"), O_RDONLY | O_NOFOLLOW));
    ended_[id] = {.record = record_of_init(id, record.get()), .told = false};
  }
  return {};
}

Result<Fd> ExitRecords::open_init_record(const std::string& id) const {
  if (directory_.empty()) {
    Fd fd(::memfd_create("bulkhead-exit", MFD_CLOEXEC));
    if (!fd.valid()) return errno_error("memfd_create");
    return fd;
  }
  return open_file(path(id, ".init"), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
}

void ExitRecords::drop_init_record(const std::string& id) const {
  if (!directory_.empty()) ::unlink(path(id, ".init").c_str());
}

ExitRecords::Ended& ExitRecords::keep(ExitRecord record) {
  if (!directory_.empty()) {
    // For whoever comes after us; the power going takes the sandboxes too, so no fsync. If this fails the record still
    // lives in our memory and in init's own record.
    if (auto written = write_new_file(path(record.id, ".json"), json(record).dump()); !written)
      record.detail += " (not recorded: " + written.error().text() + ")";
  }
  std::string id = record.id;
  return ended_.emplace(std::move(id), Ended{.record = std::move(record)}).first->second;
}

void ExitRecords::forget(const std::string& id) {
  if (ended_.erase(id) == 0 || directory_.empty()) return;
  ::unlink(path(id, ".json").c_str());
  ::unlink(path(id, ".init").c_str());
}

}  // namespace bulkhead
