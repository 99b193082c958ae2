// Files with bytes changed at random: read, or refused with the file's name in front; what is read is JSON.
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "supervisor/config/document.h"

namespace bulkhead {
namespace {

using nlohmann::json;

std::string shipped(const std::string& path) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/" + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

const char* kYaml =
    "version: 1\n"
    "defaults: &d {verify: 'npm test', limits: {memory: 4Gi, cpu: 1.5}}\n"
    "tasks:\n"
    "  issue-41:\n"
    "    prompt: |\n"
    "      Fix issue 41: login rejects plus signs\n"
    "    needs: [a, \"b\\n\\u00e9\", ~]\n"
    "  other: *d  # comment\n"
    "  'quo''ted': >-\n"
    "    folded\n"
    "    text ${VAR:-x} $$\n"
    "list:\n- 0x1F\n- -1e3\n- - nested\n  - {k: true}\n";

TEST(Mutation, FilesAreReadOrRefused) {
  const std::vector<std::pair<std::string, std::string>> seeds{
      {kYaml, "f.yaml"}, {shipped("policies/default.json"), "f.json"}, {shipped("policies/worker.json"), "f.yaml"}};
  const std::string alphabet = "{}[]:,-?&*!|>'\"%@`#\n\t \\u0x1~.<=$\x80\xc3\xff";
  std::mt19937 random(13);
  int accepted = 0;
  for (int i = 0; i < 2'500; ++i) {
    auto [text, name] = seeds[random() % seeds.size()];
    for (unsigned n = random() % 4 + 1; n > 0; --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0:
          text[at] = alphabet[random() % alphabet.size()];
          break;
        case 1:
          text.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 2:
          text.erase(at, random() % 5 + 1);
          break;
        default:
          text.insert(at, text.substr(random() % text.size(), random() % 40));
      }
      if (text.empty()) text = "x";
    }
    const auto document = read_document(text, name);
    if (!document) {
      EXPECT_TRUE(document.error().operation.starts_with(name)) << document.error().text();
      EXPECT_FALSE(document.error().detail.empty());
      continue;
    }
    ++accepted;
    std::string dumped;
    ASSERT_NO_THROW(dumped = document->value.dump()) << text;
    const auto again = read_document(dumped, "dumped.json");
    ASSERT_TRUE(again) << again.error().text() << "\n" << text;
    EXPECT_EQ(again->value, document->value) << text;
    EXPECT_TRUE(positions(*document).contains(""));
    Document copy = *document;
    static_cast<void>(expand_variables(copy, {{"VAR", "1"}}));  // accepted or refused
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 2'400);
}

}  // namespace
}  // namespace bulkhead
