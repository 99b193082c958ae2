#include "sandbox/launch/disks.h"

#include <algorithm>
#include <filesystem>

#include "sandbox/sys/files.h"

namespace bulkhead {

std::vector<std::string> list_disks(const std::string& sysfs) {
  std::vector<std::string> disks;
  std::error_code ended;  // what cannot be listed is not there; whoever needs one says so
  for (std::filesystem::directory_iterator entry(sysfs + "/block", ended), end; !ended && entry != end;
       entry.increment(ended)) {
    const std::string directory = entry->path().string();
    const auto size = read_file(directory + "/size");
    auto number = read_file(directory + "/dev");  // paths of a multipath disk have none
    if (!size || !number || *size == "0\n") continue;
    while (number->ends_with('\n')) number->pop_back();
    disks.push_back(std::move(*number));
  }
  std::ranges::sort(disks);
  return disks;
}

}  // namespace bulkhead
