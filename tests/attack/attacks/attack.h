// Attacks on a sandbox, from inside. Each tries one thing and says what came of it; none does harm where it succeeds.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::attack {

struct Outcome {
  enum class Kind { blocked, succeeded, not_tried };
  Kind kind;
  std::string text;
};

using Arguments = std::span<const std::string>;

struct Attack {
  std::string_view name;
  Outcome (*run)(Arguments);
};

Outcome blocked(std::string text);
Outcome succeeded(std::string text);
Outcome not_tried(std::string text);  // the attempt itself could not be made: the test proves nothing

std::string error_name(int code);  // "EPERM"

// What a system call answered: at least 0 is success; else errno says what blocked it.
Outcome answered(long result, std::string_view call);

// The same for a call that is given arguments no kernel accepts, so that it harms nobody: an answer about the
// arguments, one of `reached`, means that the call came through.
Outcome answered(long result, std::string_view call, std::initializer_list<int> reached);

// The descriptor that leads from such a child to its parent.
int answer_descriptor();

// In a child, so that what kills it is an answer too.
Outcome in_child(const Attack& attack, Arguments arguments);

std::span<const Attack> calls();
std::span<const Attack> files();
std::span<const Attack> namespaces();
std::span<const Attack> processes();
std::span<const Attack> sockets();
std::span<const Attack> terminals();
std::span<const Attack> exhaustion();

}  // namespace bulkhead::attack
