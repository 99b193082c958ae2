#include "supervisor/config/yaml_writer.h"

#include <gtest/gtest.h>

#include "supervisor/config/document.h"

namespace bulkhead {
namespace {

using nlohmann::json;

TEST(YamlWriter, ReadsWell) {
  EXPECT_EQ(to_yaml({{"version", 1},
                     {"limits", {{"memory", "4Gi"}}},
                     {"mounts", {{"/srv/data", {{"source", "/srv/data"}}}}},
                     {"seccomp_allow", {"unshare", "@debug"}}}),
            "limits:\n  memory: \"4Gi\"\nmounts:\n  /srv/data:\n    source: /srv/data\n"
            "seccomp_allow: [unshare, \"@debug\"]\nversion: 1\n");
}

TEST(YamlWriter, ReadsBackAsTheSameValue) {
  json hostile = json::array();
  for (const char* text : {"",     " ",    "-",     "- a", "a: b", "a #b", "#",   "null",     "~",    "NULL", "true",
                           "Yes",  "off",  "1",     "1e3", "0x1",  ".inf", "NaN", "*a",       "&a",   "!a",   "%a",
                           "@a",   "`",    "|",     ">",   "{a",   "[a",   "'",   "\"",       "a\nb", "a\tb", "\x1b[0m",
                           "/a b", "/a:b", "/a: b", "---", "...",  "<<",   "=",   "caf\u00e9"})
    hostile.push_back(text);
  for (const json& text : hostile) {
    for (const json& value : {json{{"key", text}}, json{{text.get<std::string>(), 1}}, json{{"k", {text, text}}},
                              json{{"k", {{{"a", text}, {"b", {1, 2.5, nullptr, true}}}, json::object()}}}}) {
      const auto back = read_document(to_yaml(value), "x.yaml");
      ASSERT_TRUE(back) << to_yaml(value) << back.error().text();
      EXPECT_EQ(back->value, value) << to_yaml(value);
    }
  }
  const json all{{"many", hostile}, {"none", json::array()}, {"empty", json::object()}, {"nested", {{1, 2}, {3}}}};
  EXPECT_EQ(read_document(to_yaml(all), "x.yaml").value().value, all);
}

}  // namespace
}  // namespace bulkhead
