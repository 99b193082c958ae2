// Lines for people and programs. Whatever came from an agent goes through printable() before it gets here.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// One whole line each, with one write(2), so that lines of concurrent processes do not mix. A closed pipe is no error.
void out_line(std::string_view line);
void err_line(std::string_view line);
void out_text(std::string_view text);  // as it is
// JSON as verbs print it: indented, with its newline. What is no UTF-8 is replaced.
std::string pretty(const nlohmann::json& json);

// Columns padded to the widest cell, two spaces between, no trailing blanks. Cells are printable text.
std::string table(const std::vector<std::vector<std::string>>& rows);

// How many terminal columns a printable UTF-8 text takes, counting each character as one.
std::size_t width(std::string_view text);

}  // namespace bulkhead
