// From yaml-cpp's events, not its tree: the tree drops duplicate keys, follows aliases without bound and forgets
// places.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "sandbox/base/json_node.h"
#include "sandbox/base/text.h"
#include "supervisor/config/document_builder.h"

namespace bulkhead {
namespace {

using nlohmann::json;

// Events return nothing, so this is the one way out of yaml-cpp's parser. Caught in read_yaml.
struct Refused {
  Error error;
};

Position position_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<std::size_t>(mark.line) + 1, static_cast<std::size_t>(mark.column) + 1};
}

bool all_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";

// YAML 1.2.2, section 10.3.2. The number a plain scalar is, nothing when it is text, an error when JSON cannot hold it.
std::expected<std::optional<json>, std::string> number_of(std::string_view text) {
  std::string_view body = text;
  const bool negative = body.starts_with('-');
  if (negative || body.starts_with('+')) body.remove_prefix(1);
  const auto integer = [&](std::string_view digits, int base) -> std::expected<std::optional<json>, std::string> {
    std::uint64_t magnitude = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base).ec != std::errc() ||
        (negative && magnitude > std::uint64_t{1} << 63))
      return std::unexpected("the number does not fit into 64 bits");
    if (!negative) return json(magnitude);
    return json(static_cast<std::int64_t>(0 - magnitude));
  };
  if (all_of(body, kDigits)) return integer(body, 10);
  if (text.starts_with("0o") && all_of(text.substr(2), "01234567")) return integer(text.substr(2), 8);
  if (text.starts_with("0x") && all_of(text.substr(2), "0123456789abcdefABCDEF")) return integer(text.substr(2), 16);
  for (const char* infinity : {".inf", ".Inf", ".INF"})
    if (body == infinity) return std::unexpected("the number is out of range");
  for (const char* nan : {".nan", ".NaN", ".NAN"})
    if (text == nan) return std::unexpected("the number is out of range");

  const std::size_t e = body.find_first_of("eE");
  const std::string_view mantissa = body.substr(0, e);
  const std::size_t point = mantissa.find('.');
  const std::string_view before = mantissa.substr(0, point);
  const std::string_view after = point == std::string_view::npos ? "" : mantissa.substr(point + 1);
  const auto digits_or_none = [](std::string_view part) { return part.empty() || all_of(part, kDigits); };
  if (!digits_or_none(before) || !digits_or_none(after) || (before.empty() && after.empty())) return std::nullopt;
  if (e != std::string_view::npos) {
    std::string_view exponent = body.substr(e + 1);
    if (exponent.starts_with('+') || exponent.starts_with('-')) exponent.remove_prefix(1);
    if (!all_of(exponent, kDigits)) return std::nullopt;
  }
  double real = 0;
  if (std::from_chars(body.data(), body.data() + body.size(), real).ec != std::errc() || !std::isfinite(real))
    return std::unexpected("the number is out of range");
  return json(negative ? -real : real);
}

class YamlReader : public YAML::EventHandler {
 public:
  YamlReader(std::string_view file_name, Positions* positions) : builder_(file_name, positions) {}

  const json& result() const { return result_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) refuse(position_of(mark), "a second document begins here", "write one document to a file");
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(position_of(mark), anchor, json(), true);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const Position position = position_of(mark);
    if (wants_key()) refuse(position, "an alias cannot be a key");
    const auto anchored = anchored_.find(anchor);
    if (anchored == anchored_.end()) refuse(position, "an alias stands inside what it names");
    begin(position, anchored->second.nodes);
    finish(anchored->second.value);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const Position position = position_of(mark);
    if (tag == "?") return scalar(position, anchor, plain(position, value), true, &value);
    check_tag(position, tag, "tag:yaml.org,2002:str");
    scalar(position, anchor, json(value), false, &value);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(position_of(mark), tag, "tag:yaml.org,2002:seq", anchor, json::array());
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(position_of(mark), tag, "tag:yaml.org,2002:map", anchor, json::object());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {  // a map or list that is being read
    json value;
    std::string pointer;
    YAML::anchor_t anchor = 0;
    std::size_t nodes_before = 0;
    std::optional<std::string> key = {};  // of a map: the one whose value comes next
  };
  struct Anchored {
    json value;
    std::size_t nodes = 1;
  };

  [[noreturn]] void refuse(Position position, std::string why, std::string hint = {}) const {
    throw Refused{builder_.refuse(position, std::move(why), std::move(hint)).error()};
  }
  template <class T>
  T must(Result<T> result) const {
    if (!result) throw Refused{std::move(result).error()};
    if constexpr (!std::is_void_v<T>) return *std::move(result);
  }

  bool wants_key() const { return !frames_.empty() && frames_.back().value.is_object() && !frames_.back().key; }

  void check_tag(Position position, const std::string& tag, std::string_view meant) const {
    if (tag != "!" && tag != "?" && tag != meant && !tag.empty())
      refuse(position, "the tag '" + printable(tag, 80) + "' is not supported", "write the value without a tag");
  }

  json plain(Position position, const std::string& text) const {
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
    auto number = number_of(text);
    if (!number) refuse(position, number.error());
    return *number ? **std::move(number) : json(text);
  }

  // The pointer of the value that begins here; a list's element is placed now, a map's was with its key.
  std::string pointer_here(Position position) {
    if (frames_.empty()) {
      must(builder_.place("", position));
      return "";
    }
    const Frame& frame = frames_.back();
    if (frame.value.is_object()) return next_pointer_;
    std::string pointer = frame.pointer + "/" + std::to_string(frame.value.size());
    must(builder_.place(pointer, position));
    return pointer;
  }

  std::string begin(Position position, std::size_t nodes = 1) {
    must(builder_.count(position, frames_.size(), nodes));
    nodes_ += nodes;
    return pointer_here(position);
  }

  void scalar(Position position, YAML::anchor_t anchor, json value, bool is_plain, const std::string* text = nullptr) {
    if (wants_key()) return key(position, value, is_plain, text);
    begin(position);
    if (anchor != 0) anchored_[anchor] = {value, 1};
    finish(std::move(value));
  }

  void key(Position position, const json& value, bool is_plain, const std::string* text) {
    if (!value.is_string()) refuse(position, "a key must be text, not " + value.dump(), "put it in quotes");
    if (is_plain && *text == "<<") refuse(position, "'<<' merges nothing in YAML 1.2", "write the keys out");
    next_pointer_ = frames_.back().pointer + "/" + pointer_token(*text);
    must(builder_.key(next_pointer_, *text, position));
    frames_.back().key = *text;
  }

  void open(Position position, const std::string& tag, std::string_view meant, YAML::anchor_t anchor, json empty) {
    if (wants_key()) refuse(position, "a key must be text, not a map or a list");
    check_tag(position, tag, meant);
    const std::size_t before = nodes_;
    std::string pointer = begin(position);
    frames_.push_back({std::move(empty), std::move(pointer), anchor, before});
  }

  void close() {
    Frame done = std::move(frames_.back());
    frames_.pop_back();
    if (done.anchor != 0) anchored_[done.anchor] = {done.value, nodes_ - done.nodes_before};
    finish(std::move(done.value));
  }

  // A whole value goes where it belongs.
  void finish(json value) {
    if (frames_.empty()) {
      result_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.value.is_object()) {
      frame.value[*frame.key] = std::move(value);
      frame.key.reset();
    } else {
      frame.value.push_back(std::move(value));
    }
  }

  DocumentBuilder builder_;
  json result_;
  bool started_ = false;
  std::size_t nodes_ = 0;
  std::vector<Frame> frames_;
  std::string next_pointer_;
  std::unordered_map<YAML::anchor_t, Anchored> anchored_;
};

// yaml-cpp takes some tabs for spaces and says little about the others.
Result<> refuse_tabs(std::string_view text, std::string_view file_name) {
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1, ++line) {
    if (text[at] == '\t') return refuse_at(file_name, {line, 1}, "the line begins with a tab", "indent with spaces");
    if (text.find('\n', at) == std::string_view::npos) break;
  }
  return {};
}

// yaml-cpp ends a quoted text that has no end where the file ends. The mark of a document's end is what it stumbles
// over.
std::string with_end(std::string_view text) {
  std::string whole(text);
  if (!whole.ends_with('\n')) whole += '\n';
  return whole + "...\n";
}

}  // namespace

Result<json> read_yaml(std::string_view text, std::string_view file_name, Positions* positions) {
  BULKHEAD_TRY(refuse_tabs(text, file_name));
  std::istringstream stream{with_end(text)};
  Positions own;
  YamlReader reader(file_name, positions != nullptr ? positions : &own);
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(reader);
    parser.HandleNextDocument(reader);  // refuses itself if there is one
  } catch (const Refused& refused) {
    return std::unexpected(refused.error);
  } catch (const YAML::Exception& error) {
    if (error.msg == YAML::ErrorMsg::DOC_IN_SCALAR)
      return refuse_at(file_name, position_of(error.mark), "is not YAML: a quoted text before here has no end");
    return refuse_at(file_name, position_of(error.mark), "is not YAML: " + printable(error.msg, 200));
  }
  // Nothing at all reads as null, and so does a "~": neither says anything.
  if (reader.result().is_null()) return refuse_at(file_name, {}, "is empty");
  return reader.result();
}

}  // namespace bulkhead
