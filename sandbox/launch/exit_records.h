// Exit records that nobody has acknowledged: in memory and, where the launcher has a state directory, in files for
// whoever comes after it. Of each sandbox there are two: init's own (ID.init, init_protocol.h) and the launcher's
// (ID.json), which is made of it.
#pragma once

#include <map>
#include <string>

#include "sandbox/launch/exit_record.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

// An id ("run/agent/1") as the name of one file.
std::string file_name(std::string id);

class ExitRecords {
 public:
  ExitRecords() = default;                                                            // in memory only
  explicit ExitRecords(std::string directory) : directory_(directory + "/exits/") {}  // a state directory

  // What a launcher before us recorded and nobody acknowledged, and what init left where no launcher lived to record
  // it.
  Result<> read();

  Result<Fd> open_init_record(const std::string& id) const;
  void drop_init_record(const std::string& id) const;  // of a sandbox that did not come to life

  // The record outlives us from here on. That it could not be written is added to its detail.
  const ExitRecord& keep(ExitRecord record);
  void forget(const std::string& id);
  bool contains(const std::string& id) const { return ended_.contains(id); }
  const std::map<std::string, ExitRecord>& all() const { return ended_; }

 private:
  std::string path(const std::string& id, const char* suffix) const { return directory_ + file_name(id) + suffix; }
  std::string directory_;  // with a slash; empty: no files
  std::map<std::string, ExitRecord> ended_;
};

}  // namespace bulkhead
