// Names of a layer's archive, made safe: what is left has no "." or "..", and is below the root whatever it said.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

struct LayerName {
  std::vector<std::string> parents;
  std::string leaf;  // empty: the root itself

  std::string directory() const;  // "usr/lib", "." for the root
  std::string path() const;       // "usr/lib/x"
};

// Leading slashes, "." and doubled slashes go; ".." is refused, and what no file system could hold.
Result<LayerName> parse_layer_name(std::string_view raw);

// OCI image specification, layer.md, "Whiteouts".
enum class Whiteout { none, name, opaque, ignored };
// For `name`, `hidden` is what goes.
Result<Whiteout> whiteout_of(const LayerName& name, std::string& hidden);

}  // namespace bulkhead
