#include "supervisor/config/document.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {

bool config(std::string_view input) {
  bool read = false;
  for (const char* name : {"f.yaml", "f.json"}) {
    const auto document = read_document(std::string(input), name);
    if (!document) {
      require(document.error().operation.starts_with(name), "refused without the file's name");
      require(!document.error().detail.empty(), "refused without a reason");
      continue;
    }
    read = true;
    require(positions(*document).contains(""), "the document has no place");
    const std::string dumped = document->value.dump();  // throws on invalid UTF-8
    const auto again = read_document(dumped, "again.json");
    // Written out in full, a document with aliases may be over a bound.
    if (again) require(again->value == document->value, "reads back as something else");
    Document copy = *document;
    static_cast<void>(expand_variables(copy, {{"VAR", "1"}}));  // accepted or refused
    static_cast<void>(copy.value.dump());
  }
  return read;
}

}  // namespace bulkhead::fuzz
