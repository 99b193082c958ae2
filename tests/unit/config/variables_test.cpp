#include <gtest/gtest.h>

#include "supervisor/config/document.h"

namespace bulkhead {
namespace {

const std::map<std::string, std::string> kEnvironment{
    {"NAME", "value"}, {"EMPTY", ""}, {"_X1", "${NAME}"}, {"BYTES", "\xff"}};

std::string expanded(const std::string& text) {
  Document document{.file_name = "f.yaml", .value = text, .text = "x"};
  const auto result = expand_variables(document, kEnvironment);
  return result ? document.value.get<std::string>() : result.error().text();
}

TEST(Variables, AreReplacedInStrings) {
  EXPECT_EQ(expanded("a ${NAME} b"), "a value b");
  EXPECT_EQ(expanded("${NAME}${NAME}"), "valuevalue");
  EXPECT_EQ(expanded("${EMPTY}"), "");
  EXPECT_EQ(expanded("${_X1}"), "${NAME}");  // once, not again
}

TEST(Variables, HaveDefaults) {
  EXPECT_EQ(expanded("${NONE:-other}"), "other");
  EXPECT_EQ(expanded("${NONE:-}"), "");
  EXPECT_EQ(expanded("${NAME:-other}"), "value");
  EXPECT_EQ(expanded("${EMPTY:-other}"), "other");
  EXPECT_EQ(expanded("${NONE:-a:-b $x}"), "a:-b $x");
}

TEST(Variables, LeaveAShellItsOwn) {
  for (const char* text : {"$NAME", "$$", "$(date)", "${NAME%.c}", "${#NAME}", "${1}", "${}", "${", "$", "${NAME",
                           "${NAME:-x", "${NAME:+x}", "echo $$ $? $!", "${a b}"})
    EXPECT_EQ(expanded(text), text);
  EXPECT_EQ(expanded("$${NAME}"), "${NAME}");
  EXPECT_EQ(expanded("$$${NAME}"), "$${NAME}");
}

TEST(Variables, ThatAreNotSetAreRefused) {
  Document document = read_document("a:\n  b: [x, '${NONE}']\n", "f.yaml").value();
  const auto result = expand_variables(document, kEnvironment);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text(), "f.yaml:2:10: /a/b/1: the variable 'NONE' is not set");
  EXPECT_EQ(result.error().hint, "set it, give a default with ${NONE:-...}, or write $${NONE} to leave it to a shell");
  EXPECT_EQ(expanded("${BYTES}"), "f.yaml:1:1: the variable 'BYTES' is not UTF-8");
}

TEST(Variables, AreNotLookedForInKeysAndNumbers) {
  Document document = read_document("'${NAME}': [1, true, {x: '${NAME}'}]\n", "f.yaml").value();
  ASSERT_TRUE(expand_variables(document, kEnvironment));
  EXPECT_EQ(document.value, nlohmann::json::parse(R"({"${NAME}": [1, true, {"x": "value"}]})"));
}

TEST(Variables, CannotGrowWithoutBound) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "${BIG}";
  Document document{.file_name = "f.yaml", .value = text, .text = "x: y"};
  const auto result = expand_variables(document, {{"BIG", std::string(1000, 'x')}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text(), "f.yaml:1:1: is longer than 1Mi with its variables expanded");
}

}  // namespace
}  // namespace bulkhead
