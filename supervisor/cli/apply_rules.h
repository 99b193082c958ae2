// Which files a tool on the host executes or obeys merely because they are there. An agent's change of one asks a
// person before it is merged (docs/threat-model.md). Pure.
#pragma once

#include <string_view>

namespace bulkhead {

// `path` relative to the top of the repository, as git names it.
bool runs_on_the_host(std::string_view path);

}  // namespace bulkhead
