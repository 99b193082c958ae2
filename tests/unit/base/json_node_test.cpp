#include "sandbox/base/json_node.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

using nlohmann::json;

template <class T>
std::string refusal(const Result<T>& result) {
  if (result) return "accepted";
  return result.error().text() + (result.error().hint.empty() ? "" : " | " + result.error().hint);
}

TEST(JsonNode, KnowsWhereItStands) {
  const json document = json::parse(R"({"a/b": [{"c~d": 1}]})");
  const JsonNode node("policy", document);
  const JsonNode list = *node.find("a/b");
  EXPECT_EQ(list.pointer(), "/a~1b");
  const auto elements = list.elements().value();
  EXPECT_EQ(elements.at(0).find("c~d")->pointer(), "/a~1b/0/c~0d");
  EXPECT_TRUE(document.contains(json::json_pointer(elements.at(0).find("c~d")->pointer())));
}

TEST(JsonNode, RefusesUnknownKeysWithTheNearOne) {
  const std::vector<std::string> known{"memory", "cpu"};
  const json document = json::parse(R"({"memroy": 1})");
  EXPECT_EQ(refusal(JsonNode("policy", document).object_of(known)),
            "policy /memroy: unknown key 'memroy' | did you mean 'memory'?");
  const json strange = json::parse(R"({"\u001b[2J": 1})");
  EXPECT_EQ(refusal(JsonNode("policy", strange).object_of(known)),
            "policy /\x1b[2J: unknown key '\\x1b[2J' | a key here is one of 'memory' or 'cpu'");
}

TEST(JsonNode, NamesWhatItGotInsteadOfWhatItWanted) {
  const json document = json::parse(R"([null, true, -3, 2.5, "text", [], {}, 18446744073709551615])");
  const auto at = [&](int i) {
    return JsonNode("policy", document).elements().value().at(static_cast<std::size_t>(i));
  };
  EXPECT_EQ(refusal(at(0).string()), "policy /0: expected a string, got nothing (null)");
  EXPECT_EQ(refusal(at(1).string()), "policy /1: expected a string, got true | put it in quotes");
  EXPECT_EQ(refusal(at(4).boolean()), "policy /4: expected true or false, got 'text'");
  EXPECT_EQ(refusal(at(2).integer(0, 9)), "policy /2: expected a whole number from 0 to 9, got number -3");
  EXPECT_EQ(refusal(at(3).integer(0, 9)), "policy /3: expected a whole number from 0 to 9, got number 2.5");
  EXPECT_EQ(refusal(at(5).object()), "policy /5: expected a map, got a list");
  EXPECT_EQ(refusal(at(6).elements()), "policy /6: expected a list, got a map");
  EXPECT_EQ(at(7).integer(0, ~0ULL).value(), ~0ULL);
}

TEST(JsonNode, TakesNoNulIntoACString) {
  const json document = std::string("a\0b", 3);
  EXPECT_EQ(refusal(JsonNode("policy", document).string()), "policy: holds a NUL character");
}

TEST(JsonNode, TakesOneOfSomeWords) {
  const std::vector<std::string> words{"read_only", "read_write"};
  const json right = "read_only";
  const json wrong = "read-onyl";
  EXPECT_EQ(JsonNode("policy", right).word(words).value(), "read_only");
  EXPECT_EQ(refusal(JsonNode("policy", wrong).word(words)),
            "policy: expected 'read_only' or 'read_write', got 'read-onyl' | did you mean 'read_only'?");
}

}  // namespace
}  // namespace bulkhead
