#include "sandbox/launch/exit_records.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "sandbox/launch/init_record.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr const char* kUnfinished = ".new";

// Whole or not at all, whenever we are killed. The power going takes the sandboxes too, so no fsync.
Result<> write_whole(const std::string& path, const std::string& text) {
  const std::string unfinished = path + kUnfinished;
  BULKHEAD_ASSIGN(const Fd fd, open_file(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    auto error = errno_error("write", path);
    ::unlink(unfinished.c_str());
    return error;
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) return errno_error("write", path);
  return {};
}

std::optional<ExitRecord> read_whole(const std::string& path) {
  const auto text = read_file(path, 1 << 18);
  if (!text) return std::nullopt;
  try {
    return json::parse(*text).get<ExitRecord>();
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::string file_name(std::string id) {
  std::replace(id.begin(), id.end(), '/', '~');
  return id;
}

Result<> ExitRecords::read() {
  BULKHEAD_ASSIGN(const auto names, list_directory(directory_));
  for (const std::string& name : names) {
    if (name.ends_with(kUnfinished)) {
      ::unlink((directory_ + name).c_str());
      continue;
    }
    std::string id = name.substr(0, name.rfind('.'));
    std::replace(id.begin(), id.end(), '~', '/');
    if (ended_.contains(id)) continue;
    auto record = read_whole(path(id, ".json"));
    if (!record) {
      // There is none, or none that can be read: init's own record is what is left, and of a further command nothing.
      ::unlink(path(id, ".json").c_str());
      const auto own = open_file(path(id, ".init"), O_RDONLY | O_NOFOLLOW);
      if (!own && own.error().code != ENOENT) return std::unexpected(own.error());
      record = record_of_init(id, own ? own->get() : -1);
    }
    ended_[id] = std::move(*record);
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

const ExitRecord& ExitRecords::keep(ExitRecord record) {
  if (!directory_.empty()) {
    // For whoever comes after us. If this fails the record still lives in our memory and in init's own record.
    if (auto written = write_whole(path(record.id, ".json"), json(record).dump()); !written)
      record.detail += " (not recorded: " + written.error().text() + ")";
  }
  std::string id = record.id;
  return ended_.emplace(std::move(id), std::move(record)).first->second;
}

void ExitRecords::forget(const std::string& id) {
  if (ended_.erase(id) == 0 || directory_.empty()) return;
  ::unlink(path(id, ".json").c_str());
  ::unlink(path(id, ".init").c_str());
}

}  // namespace bulkhead
