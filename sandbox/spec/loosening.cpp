#include <array>
#include <utility>

#include "sandbox/base/json_node.h"
#include "sandbox/base/text.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {
namespace {

constexpr std::array<std::pair<Loosening, std::string_view>, 12> kWords{{
    {Loosening::host_identity, "host-identity"},
    {Loosening::inside_root, "inside-root"},
    {Loosening::capabilities, "capabilities"},
    {Loosening::host_network, "host-network"},
    {Loosening::writable_host, "writable-host"},
    {Loosening::unlimited_memory, "unlimited-memory"},
    {Loosening::unlimited_pids, "unlimited-pids"},
    {Loosening::unbounded_disk, "unbounded-disk"},
    {Loosening::no_seccomp, "no-seccomp"},
    {Loosening::no_landlock, "no-landlock"},
    {Loosening::unmasked_proc, "unmasked-proc"},
    {Loosening::terminal_injection, "terminal-injection"},
}};

}  // namespace

Result<Loosening> parse_loosening(std::string_view word) {
  std::vector<std::string> words;
  for (const auto& [loosening, known] : kWords) {
    if (known == word) return loosening;
    words.emplace_back(known);
  }
  return fail("read loosening", "'" + printable(word, 80) + "'", "no such loosening",
              suggest(word, words, "a loosening"));
}

std::string_view name(Loosening loosening) {
  for (const auto& [known, word] : kWords)
    if (known == loosening) return word;
  return "unknown";
}

}  // namespace bulkhead
