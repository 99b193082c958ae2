#include "supervisor/config/document.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <memory>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "supervisor/config/document_builder.h"

namespace bulkhead {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

Position position_at(std::string_view text, std::size_t at) {
  Position position{1, 1};
  for (const char c : text.substr(0, at)) {
    ++position.column;
    if (c == '\n') ++position.line, position.column = 1;
  }
  return position;
}

// What neither format allows, and what yaml-cpp would take for UTF-16.
Result<> check_characters(std::string_view text, const std::string& file_name) {
  if (const std::size_t good = utf8_prefix(text); good != text.size())
    return refuse_at(file_name, position_at(text, good), "is not UTF-8 from here on");
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
      return refuse_at(file_name, position_at(text, at), "holds a control character: " + printable(text.substr(at, 1)));
  }
  return {};
}

Result<nlohmann::json> read_value(std::string_view text, std::string_view file_name, Positions* positions) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  if (file_name.ends_with(".json")) return read_json(text, file_name, positions);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    if (auto value = read_json(text, file_name, positions)) return value;
    if (positions != nullptr) positions->clear();  // it may be YAML's own {key: value}
  }
  return read_yaml(text, file_name, positions);
}

}  // namespace

Result<Document> read_document(std::string text, std::string file_name) {
  if (text.size() > kMostText) return refuse_at(file_name, {}, "is larger than " + format_bytes(kMostText));
  BULKHEAD_TRY(check_characters(text, file_name));
  BULKHEAD_ASSIGN(auto value, read_value(text, file_name, nullptr));
  return Document{.file_name = std::move(file_name), .value = std::move(value), .text = std::move(text)};
}

Positions positions(const Document& document) {
  Positions found;
  (void)read_value(document.text, document.file_name, &found);  // it was read before
  return found;
}

Result<Document> read_document_file(const std::string& path) {
  // O_NONBLOCK: a pipe in the place of a file must not hang who reads it.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno_error("read", path);
  const std::unique_ptr<std::FILE, FileCloser> file(fdopen(fd, "r"));
  struct stat status{};
  if (fstat(fd, &status) != 0) return errno_error("read", path);
  if (!S_ISREG(status.st_mode)) return fail("read", path, "is not a regular file");
  std::string text;
  std::array<char, 16384> chunk{};
  // Past kMostText is enough: too large shows as such.
  for (std::size_t n = 1; n != 0 && text.size() <= kMostText; text.append(chunk.data(), n))
    n = std::fread(chunk.data(), 1, chunk.size(), file.get());
  if (std::ferror(file.get()) != 0) return errno_error("read", path);
  return read_document(std::move(text), path);
}

Error located(const Document& document, Error error) {
  const Positions places = positions(document);
  std::string pointer = error.object;
  auto place = places.find(pointer);
  while (place == places.end() && !pointer.empty()) {
    const std::size_t slash = pointer.rfind('/');
    pointer.resize(slash == std::string::npos ? 0 : slash);
    place = places.find(pointer);
  }
  std::string where = document.file_name;
  if (place != places.end())
    where += ":" + std::to_string(place->second.line) + ":" + std::to_string(place->second.column);
  // Error::text puts a blank between operation and object, and ": " before what follows.
  error.operation = error.object.empty() ? where : where + ":";
  error.object = printable(error.object);  // its tokens are keys of the document, whatever those hold
  return error;
}

std::string locate(const Document& document, const Error& error) {
  std::string text = located(document, error).text();
  if (!error.hint.empty()) text += "\n  " + error.hint;
  return text;
}

}  // namespace bulkhead
