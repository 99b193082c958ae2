// What bulkhead-init left behind on its descriptor (sandbox/init/init_protocol.h), read with suspicion: init is a
// process in the sandbox, and who takes it over writes what they like.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sandbox/init/init_protocol.h"
#include "sandbox/launch/exit_record.h"

namespace bulkhead {

std::optional<InitRecord> read_init_record(int fd);  // nothing where there is none, or none that init writes
std::vector<Denial> read_init_denials(int fd);

// How init's own process ended: the kernel's word, which is believed before init's.
enum class InitEnd { exited, killed };

// Whether a kernel can have given init such a value.
bool is_possible(InitOutcome outcome, std::int32_t value);

// How a guest ended, by init's word.
void note_guest_end(ExitRecord& record_of_guest, const GuestEnd& end, const std::string& program);

// Adds to `record_of_sandbox` what init says: how `program`, the command, ended.
void note_end(ExitRecord& record_of_sandbox, const InitRecord& record, InitEnd init, const std::string& program);

// What init alone can tell of a sandbox whose launcher died: how the command ended, or `lost`.
ExitRecord record_of_init(const std::string& id, int record_fd);

}  // namespace bulkhead
