#include "supervisor/core/journal/typed_event.h"

#include <gmock/gmock.h>

namespace bulkhead::test {
namespace {

enum class Colour { red, green };
std::string_view word(Colour colour) { return colour == Colour::red ? "red" : "green"; }
bool from_word(std::string_view text, Colour& colour) {
  if (text != "red" && text != "green") return false;
  colour = text == "red" ? Colour::red : Colour::green;
  return true;
}

struct Painted {
  static constexpr const char* type = "painted";
  static constexpr int version = 2;
  std::string what;
  Colour colour = Colour::red;
  std::vector<Colour> before;
  std::optional<std::uint8_t> coats;
  std::vector<std::string> by;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("what", self.what), visit("colour", self.colour), visit("before", self.before);
    visit("coats", self.coats), visit.texts("by", self.by);
  }
};

TEST(TypedEvent, WritesWordsAndNulls) {
  const Event event =
      make_event("r", "a", 3, Painted{.what = "door", .colour = Colour::green, .before = {Colour::red}, .by = {"ann"}});
  EXPECT_EQ(event.body.dump(), R"({"before":["red"],"by":["ann"],"coats":null,"colour":"green","what":"door"})");
  EXPECT_EQ(event.type, "painted");
  EXPECT_EQ(event.version, 2);
  EXPECT_EQ(event.attempt, 3U);
}

TEST(TypedEvent, ReadsWhatAnOlderOrNewerWriterOfTheSameVersionWrote) {
  Event event = make_event("r", "a", 1, Painted{.what = "door", .coats = 2});
  event.body["since"] = "yesterday";
  const auto read = read_event<Painted>(event);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->coats, 2);
}

TEST(TypedEvent, RefusesWhatDoesNotFit) {
  const auto refusal = [](const char* key, nlohmann::json value) {
    Event event = make_event("r", "a", 1, Painted{});
    event.body[key] = std::move(value);
    const auto read = read_event<Painted>(event);
    return read ? "" : read.error().detail;
  };
  EXPECT_EQ(refusal("what", 1), "'what' has a wrong type or value");
  EXPECT_EQ(refusal("colour", "blue"), "'colour' has a wrong type or value");
  EXPECT_EQ(refusal("before", {"red", "blue"}), "'before' has a wrong type or value");
  EXPECT_EQ(refusal("coats", 256), "'coats' has a wrong type or value");
  EXPECT_EQ(refusal("coats", -1), "'coats' has a wrong type or value");
  EXPECT_EQ(refusal("coats", 1.5), "'coats' has a wrong type or value");
  EXPECT_EQ(refusal("coats", 255), "");
}

TEST(Clip, CutsAtACharacterAndCountsAsJson) {
  EXPECT_EQ(clip("short"), "short");
  EXPECT_EQ(clip("abcdefgh", 7), "abcd…");
  EXPECT_EQ(clip("ääääääää", 9), "äää…");
  for (const std::string& text : {std::string(5'000, '\x01'), std::string(5'000, '"'), std::string(5'000, '\xff'),
                                  std::string(3'000, 'a') + "\xe2\x82"}) {
    const std::string clipped = clip(text);
    EXPECT_LE(nlohmann::json(clipped).dump().size(), kMaxEventText + 2);
    EXPECT_TRUE(clipped.ends_with("…"));
  }
  EXPECT_EQ(clip("a\xff"
                 "b"),
            "a\xef\xbf\xbd"
            "b");  // JSON holds no invalid UTF-8
}

TEST(Clip, AListKeepsItsFirstItems) {
  const std::vector<std::string> kept = clip_list(std::vector<std::string>(100, std::string(100, 'x')));
  EXPECT_EQ(kept.size(), 19U);
  EXPECT_LE(nlohmann::json(kept).dump().size(), kMaxEventListBytes);
  EXPECT_EQ(clip_list({"a", "b"}), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace bulkhead::test
