// A file that a verb writes its answer to. Opened before the verb does anything, so that one that cannot be written is
// known while nothing has happened.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/sys/fd.h"
#include "supervisor/cli/exit.h"

namespace bulkhead {

class OutputFile {
 public:
  // An empty path is no file. `what` is for errors: "report".
  static Outcome<OutputFile> open(const std::string& what, const std::string& path);
  bool wanted() const { return file_.valid(); }
  Outcome<> write(std::string_view text) const;  // in the place of what the file held

 private:
  std::string operation_, path_;
  Fd file_;
};

}  // namespace bulkhead
