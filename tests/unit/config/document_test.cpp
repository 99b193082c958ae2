#include "supervisor/config/document.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead {
namespace {

using nlohmann::json;

json yaml(std::string_view text) {
  const auto document = read_document(std::string(text), "f.yaml");
  EXPECT_TRUE(document) << document.error().text();
  return document ? document->value : json("refused");
}
json from_json(std::string_view text) {
  const auto document = read_document(std::string(text), "f.json");
  EXPECT_TRUE(document) << document.error().text();
  return document ? document->value : json("refused");
}

std::string refusal(std::string_view text, const std::string& file = "f.yaml") {
  const auto document = read_document(std::string(text), file);
  if (document) return "accepted: " + document->value.dump();
  return document.error().text() + (document.error().hint.empty() ? "" : " | " + document.error().hint);
}

Position at(std::string_view text, const std::string& pointer, const std::string& file = "f.yaml") {
  const auto document = read_document(std::string(text), file).value();
  const Positions all = positions(document);
  const auto position = all.find(pointer);
  return position == all.end() ? Position{} : position->second;
}

TEST(Yaml, ReadsTheUsualShapes) {
  EXPECT_EQ(
      yaml("version: 1\n"
           "name: debian\n"
           "merge: {into: bulkhead/fixes}\n"
           "list:\n"
           "- a\n"
           "-   b: 1\n"
           "    c: 2\n"
           "text: |\n"
           "  first\n"
           "    second\n"
           "folded: >-\n"
           "  one\n"
           "  two\n"
           "# a comment\n"
           "empty: {}\n"
           "nothing:\n"),
      json::parse(
          R"({"version": 1, "name": "debian", "merge": {"into": "bulkhead/fixes"}, "list": ["a", {"b": 1, "c": 2}],
                            "text": "first\n  second\n", "folded": "one two", "empty": {}, "nothing": null})"));
}

TEST(Yaml, ResolvesPlainScalarsByTheCoreSchema) {
  EXPECT_EQ(yaml("[true, false, True, FALSE]"), json::parse("[true, false, true, false]"));
  EXPECT_EQ(yaml("[yes, no, on, off, y, n, tRUE]"), json::parse(R"(["yes", "no", "on", "off", "y", "n", "tRUE"])"));
  EXPECT_EQ(yaml("[null, ~, Null, NULL, nULL]"), json::parse(R"([null, null, null, null, "nULL"])"));
  EXPECT_EQ(yaml("[0, 12, -7, +3, 010, 0o17, 0xfF]"), json::parse("[0, 12, -7, 3, 10, 15, 255]"));
  EXPECT_EQ(yaml("[1.5, -0.25, .5, 2., 1e3, 1.5E-2, +1.0]"), json::parse("[1.5, -0.25, 0.5, 2.0, 1000.0, 0.015, 1.0]"));
  EXPECT_EQ(
      yaml("[1h30m, 4Gi, 1_000, 0x, 0o8, 1e, ., -, --1, 1.2.3, 0b1, 12:30, 2024-01-01, -0x1, +]"),
      json::parse(
          R"(["1h30m", "4Gi", "1_000", "0x", "0o8", "1e", ".", "-", "--1", "1.2.3", "0b1", "12:30", "2024-01-01", "-0x1", "+"])"));
  EXPECT_EQ(yaml("['true', \"1\", 'null', '~', !!str 5, !!str true]"),
            json::parse(R"(["true", "1", "null", "~", "5", "true"])"));
  EXPECT_TRUE(yaml("12").is_number_unsigned());
  EXPECT_TRUE(yaml("1.0").is_number_float());
  EXPECT_EQ(yaml("[18446744073709551615, -9223372036854775808]"),
            json::parse("[18446744073709551615, -9223372036854775808]"));
}

TEST(Yaml, RefusesNumbersThatJsonCannotHold) {
  EXPECT_EQ(refusal("a: 18446744073709551616"), "f.yaml:1:4: the number does not fit into 64 bits");
  EXPECT_EQ(refusal("a: -9223372036854775809"), "f.yaml:1:4: the number does not fit into 64 bits");
  EXPECT_EQ(refusal("a: .inf"), "f.yaml:1:4: the number is out of range");
  EXPECT_EQ(refusal("a: -.INF"), "f.yaml:1:4: the number is out of range");
  EXPECT_EQ(refusal("a: .NaN"), "f.yaml:1:4: the number is out of range");
  EXPECT_EQ(refusal("a: 1e999"), "f.yaml:1:4: the number is out of range");
}

TEST(Yaml, RefusesDuplicateKeysWithBothPlaces) {
  EXPECT_EQ(refusal("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n"),
            "f.yaml:5:3: the key 'c' is there twice | the first is at line 3, column 3");
  EXPECT_EQ(refusal("{a: 1, 'a': 2}"), "f.yaml:1:8: the key 'a' is there twice | the first is at line 1, column 2");
}

TEST(Yaml, RefusesKeysThatAreNotText) {
  EXPECT_EQ(refusal("1: x"), "f.yaml:1:1: a key must be text, not 1 | put it in quotes");
  EXPECT_EQ(refusal("true: x"), "f.yaml:1:1: a key must be text, not true | put it in quotes");
  EXPECT_EQ(refusal("~: x"), "f.yaml:1:1: a key must be text, not null | put it in quotes");
  EXPECT_EQ(refusal("? {a: 1}\n: x"), "f.yaml:1:3: a key must be text, not a map or a list");
  EXPECT_EQ(yaml("'1': x"), json::parse(R"({"1": "x"})"));
}

TEST(Yaml, RefusesWhatOnlyLooksLikeYaml12) {
  EXPECT_EQ(refusal("a: &x {b: 1}\nc:\n  <<: *x\n"),
            "f.yaml:3:3: '<<' merges nothing in YAML 1.2 | write the keys out");
  EXPECT_EQ(refusal("a: !!binary aGk=\n"),
            "f.yaml:1:4: the tag 'tag:yaml.org,2002:binary' is not supported | write the value without a tag");
  EXPECT_EQ(refusal("a: !run [x]\n"), "f.yaml:1:4: the tag '!run' is not supported | write the value without a tag");
  EXPECT_EQ(yaml("'<<': 1"), json::parse(R"({"<<": 1})"));
}

TEST(Yaml, RefusesASecondDocument) {
  EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"), "f.yaml:2:1: a second document begins here | write one document to a file");
  EXPECT_EQ(yaml("---\na: 1\n...\n"), json::parse(R"({"a": 1})"));
  EXPECT_EQ(yaml("%YAML 1.2\n---\na: 1\n"), json::parse(R"({"a": 1})"));
}

TEST(Yaml, RefusesNothingAtAll) {
  EXPECT_EQ(refusal(""), "f.yaml: is empty");
  EXPECT_EQ(refusal("# only a comment\n"), "f.yaml: is empty");
  EXPECT_EQ(refusal("---\n...\n"), "f.yaml: is empty");
  EXPECT_EQ(refusal("~"), "f.yaml: is empty");
  EXPECT_EQ(refusal("", "f.json"), "f.json:1:1: expected a JSON value, got the end of the file");
}

TEST(Yaml, RefusesTabsThatIndent) {
  EXPECT_EQ(refusal("a:\n\tb: 1\n"), "f.yaml:2:1: the line begins with a tab | indent with spaces");
  EXPECT_EQ(yaml("a: |\n  all:\n  \tcc x.c\n"), json::parse(R"({"a": "all:\n\tcc x.c\n"})"));
  EXPECT_EQ(refusal("a: 1\n\t\nb: 2\n"), "f.yaml:2:1: the line begins with a tab | indent with spaces");
  EXPECT_EQ(refusal("\t"), "f.yaml:1:1: the line begins with a tab | indent with spaces");
}

TEST(Yaml, RefusesBrokenSyntaxWithItsPlace) {
  EXPECT_EQ(refusal("a: [1, 2\nb: 3\n"), "f.yaml:2:2: is not YAML: end of sequence flow not found");
  EXPECT_EQ(refusal("a: \"x\n"), "f.yaml:2:1: is not YAML: a quoted text before here has no end");
  EXPECT_EQ(refusal("a: *missing\n").substr(0, 8), "f.yaml:1");
  EXPECT_EQ(refusal("a: \"\\ud800\"\n").substr(0, 8), "f.yaml:1");
}

TEST(Yaml, TakesAliasesInWithinABound) {
  EXPECT_EQ(yaml("a: &x {b: [1, 2]}\nc: *x\nd: [*x, *x]\n"),
            json::parse(R"({"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [{"b": [1, 2]}, {"b": [1, 2]}]})"));
  EXPECT_EQ(yaml("a: &x text\nb: *x\n"), json::parse(R"({"a": "text", "b": "text"})"));
  EXPECT_EQ(refusal("a: &x [*x]\n"), "f.yaml:1:8: an alias stands inside what it names");
  EXPECT_EQ(refusal("a: &x b\n*x : 1\n"), "f.yaml:2:1: an alias cannot be a key");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j == 0 ? "" : ", ") + last;
    bomb += "]\n";
  }
  EXPECT_EQ(refusal(bomb), "f.yaml:5:45: holds more than 100000 values");
}

TEST(Yaml, IsBoundedInSizeAndDepth) {
  EXPECT_EQ(refusal(std::string((4U << 20) + 1, ' ')), "f.yaml: is larger than 4Mi");
  EXPECT_EQ(refusal(std::string(100, '[') + std::string(100, ']')), "f.yaml:1:66: is nested more than 64 deep");
  EXPECT_EQ(refusal(std::string(100, '['), "f.json"), "f.json:1:66: is nested more than 64 deep");
  EXPECT_EQ(refusal(std::string(200'000, '['), "f.json"), "f.json:1:66: is nested more than 64 deep");
  EXPECT_EQ(refusal("a: " + std::string(2'000, '[') + std::string(2'000, ']')),
            "f.yaml:1:68: is nested more than 64 deep");
  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  EXPECT_EQ(refusal(many + "]", "f.json"), "f.json:1:200000: holds more than 100000 values");
  EXPECT_EQ(refusal("{\"" + std::string(1025, 'k') + "\": 1}", "f.json"),
            "f.json:1:2: the key '" + std::string(37, 'k') + "…' is longer than 1024 bytes");
  // Short values below long keys: every place would be remembered with its whole pointer.
  std::string wide;
  for (int i = 0; i < 40; ++i) wide += "{\"" + std::string(1000, 'k') + "\":";
  wide += "[0";
  for (int i = 0; i < 50'000; ++i) wide += ",0";
  EXPECT_NE(refusal(wide, "f.json").find("has too many values below long keys"), std::string::npos);
}

TEST(Text, IsUtf8WithoutControlCharacters) {
  EXPECT_EQ(refusal("a: \xff\n"), "f.yaml:1:4: is not UTF-8 from here on");
  EXPECT_EQ(refusal("a: 1\nb: \x1b[2J\n"), "f.yaml:2:4: holds a control character: \\x1b");
  EXPECT_EQ(refusal(std::string_view("a\0: 1", 5)), "f.yaml:1:2: holds a control character: \\x00");
  EXPECT_EQ(refusal(std::string_view("\xff\xfe\x61\x00", 4)), "f.yaml:1:1: is not UTF-8 from here on");  // UTF-16
  EXPECT_EQ(yaml("\xef\xbb\xbf"
                 "a: ü\n"),
            json::parse(R"({"a": "ü"})"));
  EXPECT_EQ(from_json("\xef\xbb\xbf{\"a\": 1}"), json::parse(R"({"a": 1})"));
  EXPECT_EQ(yaml("a: 1\r\nb: x\r\n"), json::parse(R"({"a": 1, "b": "x"})"));
}

TEST(Json, ReadsWhatTheStandardSays) {
  const std::string text =
      R"({"a": [1, -2, 3.5, 1e2, true, false, null], "b": {"c": {}}, "d": [], "e": "A\"\\\/\b\f\n\r\té😀x"})";
  EXPECT_EQ(from_json(text), json::parse(text));
  EXPECT_EQ(from_json(R"("\u0041\u00e9\ud83d\ude00\u0000z")"), json::parse(R"("\u0041\u00e9\ud83d\ude00\u0000z")"));
  EXPECT_EQ(from_json(" 18446744073709551615 "), json(18446744073709551615ULL));
  EXPECT_TRUE(from_json("0").is_number_unsigned());
  EXPECT_TRUE(from_json("-1").is_number_integer());
  EXPECT_TRUE(from_json("1.0").is_number_float());
}

TEST(Json, RefusesTheRestWithItsPlace) {
  EXPECT_EQ(refusal(R"({"a": 1, "a": 2})", "f.json"),
            "f.json:1:10: the key 'a' is there twice | the first is at line 1, column 2");
  EXPECT_EQ(refusal("{\"a\": 1,\n}", "f.json"), "f.json:2:1: expected a key in double quotes, got '}'");
  EXPECT_EQ(refusal("{a: 1}", "f.json"), "f.json:1:2: expected a key in double quotes or '}', got 'a'");
  EXPECT_EQ(refusal("{'a': 1}", "f.json"), "f.json:1:2: expected a key in double quotes or '}', got '''");
  EXPECT_EQ(refusal("{\"a\" 1}", "f.json"), "f.json:1:6: expected ':', got '1'");
  EXPECT_EQ(refusal("{\"a\": 1 \"b\"}", "f.json"), "f.json:1:9: expected ',' or '}', got '\"'");
  EXPECT_EQ(refusal("[1 2]", "f.json"), "f.json:1:4: expected ',' or ']', got '2'");
  EXPECT_EQ(refusal("[1,]", "f.json"), "f.json:1:4: expected a JSON value, got ']'");
  EXPECT_EQ(refusal("[1", "f.json"), "f.json:1:3: expected ',' or ']', got the end of the file");
  EXPECT_EQ(refusal("[1] x", "f.json"), "f.json:1:5: expected the end of the document, got 'x'");
  EXPECT_EQ(refusal("[tru]", "f.json"), "f.json:1:2: expected a JSON value, got 't'");
  EXPECT_EQ(refusal("[ü]", "f.json"), "f.json:1:2: expected a JSON value, got a character that is not ASCII");
  EXPECT_EQ(refusal("\"abc", "f.json"), "f.json:1:1: the string has no end on its line");
  EXPECT_EQ(refusal("\"a\nb\"", "f.json"), "f.json:1:1: the string has no end on its line");
  EXPECT_EQ(refusal("\"a\tb\"", "f.json"),
            "f.json:1:3: expected no control character in a string; write it as an escape, got '\\x09'");
  EXPECT_EQ(refusal(R"("\x41")", "f.json"), "f.json:1:2: unknown escape in a string");
  EXPECT_EQ(refusal(R"("\u12")", "f.json"), "f.json:1:2: \\u wants four hexadecimal digits");
  EXPECT_EQ(refusal(R"("\u-123")", "f.json"), "f.json:1:2: \\u wants four hexadecimal digits");
  for (const char* half : {R"("\ud800")", R"("\ud800x")", R"("\udc00")", R"("\ud800\u0041")"})
    EXPECT_EQ(refusal(half, "f.json"), "f.json:1:2: half of a surrogate pair") << half;
  for (const char* number : {"01", "-", "1.", ".5", "1e", "1e+", "-01"})
    EXPECT_FALSE(read_document(number, "f.json")) << number;
  EXPECT_EQ(refusal("18446744073709551616", "f.json"), "f.json:1:1: the number does not fit into 64 bits");
  EXPECT_EQ(refusal("1e999", "f.json"), "f.json:1:1: the number is out of range");
}

TEST(Json, IsKnownByItsLooksToo) {
  // Escapes of surrogate pairs are JSON's, not YAML's.
  EXPECT_EQ(yaml("{\"a\": \"\\ud83d\\ude00\"}"), json::parse(R"({"a": "😀"})"));
  EXPECT_EQ(yaml("{\n\t\"a\": 1\n}"), json::parse(R"({"a": 1})"));
  EXPECT_EQ(yaml("{a: 1, b: [x]}"), json::parse(R"({"a": 1, "b": ["x"]})"));
}

TEST(Json, AgreesWithTheLibraryOnWhateverItAccepts) {
  for (const char* text :
       {"0.1", "-0.0", "1E400", "5e-324", "123456789012345678", "\"\\\"\"", "[[[]]]", "{\"\":{\"\":1}}", "-0"}) {
    const auto ours = read_document(text, "f.json");
    const json theirs = json::parse(text, nullptr, false);
    if (theirs.is_discarded())
      EXPECT_FALSE(ours) << text;
    else
      EXPECT_EQ(ours.value().value, theirs) << text;
  }
}

TEST(Positions, AreThoseOfKeysAndElements) {
  const char* text =
      "version: 1\n"
      "limits:\n"
      "  memory: 1Gi\n"
      "  list: [a, {b: c}]\n"
      "x/y~z:\n"
      "  - p\n"
      "  -   q\n";
  EXPECT_EQ(at(text, ""), (Position{1, 1}));
  EXPECT_EQ(at(text, "/version"), (Position{1, 1}));
  EXPECT_EQ(at(text, "/limits/memory"), (Position{3, 3}));
  EXPECT_EQ(at(text, "/limits/list/0"), (Position{4, 10}));
  EXPECT_EQ(at(text, "/limits/list/1"), (Position{4, 13}));
  EXPECT_EQ(at(text, "/limits/list/1/b"), (Position{4, 14}));
  EXPECT_EQ(at(text, "/x~1y~0z/0"), (Position{6, 5}));
  EXPECT_EQ(at(text, "/x~1y~0z/1"), (Position{7, 7}));
  const char* same = "{\n  \"a\": [1,\n    2],\n  \"b\": {}\n}\n";
  EXPECT_EQ(at(same, "/a", "f.json"), (Position{2, 3}));
  EXPECT_EQ(at(same, "/a/1", "f.json"), (Position{3, 5}));
  EXPECT_EQ(at(same, "/b", "f.json"), (Position{4, 3}));
}

TEST(Positions, EveryValueHasOne) {
  const Document document = read_document("a: {b: [1, {c: x}], d: }\ne: [[], {}]\n", "f.yaml").value();
  const Positions all = positions(document);
  for (const auto& [pointer, value] : document.value.flatten().items()) EXPECT_TRUE(all.contains(pointer)) << pointer;
  EXPECT_EQ(all.size(), 10U);
}

TEST(Locate, PutsThePlaceInFront) {
  const Document document = read_document("version: 1\nlimits:\n  memory: x\n", "policy.yaml").value();
  const auto say = [&](std::string pointer, std::string hint = "") {
    return locate(
        document,
        Error{
            .operation = "policy", .object = std::move(pointer), .detail = "expected a size", .hint = std::move(hint)});
  };
  EXPECT_EQ(say("/limits/memory"), "policy.yaml:3:3: /limits/memory: expected a size");
  EXPECT_EQ(say("/limits/memory", "write 1Gi"), "policy.yaml:3:3: /limits/memory: expected a size\n  write 1Gi");
  EXPECT_EQ(say("/limits/pids"), "policy.yaml:2:1: /limits/pids: expected a size");  // the nearest that is there
  EXPECT_EQ(say("/mounts/~1a/source"), "policy.yaml:1:1: /mounts/~1a/source: expected a size");
  EXPECT_EQ(say(""), "policy.yaml:1:1: expected a size");
  EXPECT_EQ(say("/\x1b[2J"), "policy.yaml:1:1: /\\x1b[2J: expected a size");
}

TEST(ReadDocumentFile, NamesTheFile) {
  std::string directory = (std::filesystem::temp_directory_path() / "bulkhead-config-XXXXXX").string();
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/w.yaml";
  std::ofstream(path) << "a: 1\na: 2\n";
  EXPECT_EQ(read_document_file(path).error().text(), path + ":2:1: the key 'a' is there twice");
  EXPECT_EQ(read_document_file(directory + "/none.yaml").error().text(),
            "read " + directory + "/none.yaml: No such file or directory");
  EXPECT_EQ(read_document_file(directory).error().text(), "read " + directory + ": is not a regular file");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace bulkhead
