#include "sandbox/base/text.h"

#include <gtest/gtest.h>

#include <random>

#include "sandbox/base/hex.h"

namespace bulkhead {
namespace {

using Words = std::vector<std::string>;

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("plain text, 100%: \"quoted\" \\ and 'so'"), "plain text, 100%: \"quoted\" \\ and 'so'");
  EXPECT_EQ(printable("Grüße, 日本語, 🙂"), "Grüße, 日本語, 🙂");
}

TEST(Printable, EscapesWhatATerminalObeys) {
  EXPECT_EQ(printable("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(printable("a\tb\nc\rd"), "a\\x09b\\x0ac\\x0dd");
  EXPECT_EQ(printable(std::string_view("\0\x07\x7f", 3)), "\\x00\\x07\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\u{009b}2J");  // C1: another way to say ESC [
}

TEST(Printable, EscapesWhatFoolsAReader) {
  EXPECT_EQ(printable("abc\u202e"
                      "cba"),
            "abc\\u{202e}cba");  // right-to-left override
  EXPECT_EQ(printable("\u2066x\u2069\u200f\u061c"), "\\u{2066}x\\u{2069}\\u{200f}\\u{061c}");
  EXPECT_EQ(printable("a\u200bb\ufeffc\u00add"), "a\\u{200b}b\\u{feff}c\\u{00ad}d");
  EXPECT_EQ(printable("a\u2028b"), "a\\u{2028}b");
  EXPECT_EQ(printable("\U000e0041"), "\\u{e0041}");  // a tag: invisible ASCII
  EXPECT_EQ(printable("x\ufe0f"), "x\\u{fe0f}");
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable("a\x80z"), "a\\x80z");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // overlong '/'
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // past U+10FFFF
  EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82");                    // cut short
  EXPECT_EQ(printable("\xe2\x82"
                      "x"),
            "\\xe2\\x82x");
}

TEST(Printable, IsCutWithinItsLimitAtAWholeCharacter) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abc…");
  EXPECT_EQ(printable("üüüü", 8), "üüüü");
  EXPECT_EQ(printable("üüüüü", 8), "üü…");
  EXPECT_EQ(printable("ab\x1b\x1b", 8), "ab…");  // never half an escape
  EXPECT_EQ(printable("abc", 2), "");
  EXPECT_EQ(printable("abcd", 3), "…");
}

TEST(Printable, NeverExceedsItsLimitNorLetsAControlCharacterThrough) {
  std::mt19937 random(11);
  for (int i = 0; i < 5'000; ++i) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::size_t limit = random() % 80;
    const std::string shown = printable(bytes, limit);
    EXPECT_LE(shown.size(), limit);
    EXPECT_EQ(utf8_prefix(shown), shown.size());
    for (const char c : shown) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
}

TEST(Utf8Prefix, CountsTheWellFormedBeginning) {
  EXPECT_EQ(utf8_prefix(""), 0U);
  EXPECT_EQ(utf8_prefix("aü日🙂"), 10U);
  EXPECT_EQ(utf8_prefix("ab\xff"
                        "c"),
            2U);
  EXPECT_EQ(utf8_prefix("ab\xe2\x82"), 2U);
}

TEST(Nearest, FindsALikelyMisspelling) {
  const Words keys{"memory", "swap", "cpu", "pids", "wall", "cpu_time", "open_files", "file_size", "environment"};
  EXPECT_EQ(nearest("memroy", keys), "memory");   // swapped
  EXPECT_EQ(nearest("memorry", keys), "memory");  // doubled
  EXPECT_EQ(nearest("cpus", keys), "cpu");
  EXPECT_EQ(nearest("pid", keys), "pids");
  EXPECT_EQ(nearest("open-files", keys), "open_files");
  EXPECT_EQ(nearest("openFiles", keys), "open_files");
  EXPECT_EQ(nearest("CPU_TIME", keys), "cpu_time");
  EXPECT_EQ(nearest("mem", keys), "memory");  // the beginning of one
  EXPECT_EQ(nearest("env", keys), "environment");
}

TEST(Nearest, IsSilentWhenNothingIsNear) {
  const Words keys{"memory", "cpu"};
  EXPECT_EQ(nearest("network", keys), "");
  EXPECT_EQ(nearest("x", keys), "");
  EXPECT_EQ(nearest("", keys), "");
  EXPECT_EQ(nearest(std::string(100'000, 'm'), keys), "");
  EXPECT_EQ(nearest("memory", {}), "");
}

TEST(OneOf, ListsWordsInQuotes) {
  EXPECT_EQ(one_of({}), "");
  EXPECT_EQ(one_of(Words{"a"}), "'a'");
  EXPECT_EQ(one_of(Words{"a", "b"}), "'a' or 'b'");
  EXPECT_EQ(one_of(Words{"a", "b", "c"}), "'a', 'b' or 'c'");
}

TEST(Split, GivesOnePartMoreThanSeparators) {
  EXPECT_EQ(split("", ','), Words{""});
  EXPECT_EQ(split("a", ','), Words{"a"});
  EXPECT_EQ(split("a,b,,c,", ','), (Words{"a", "b", "", "c", ""}));
}

TEST(ShellQuote, QuotesOnlyWhereNeeded) {
  EXPECT_EQ(shell_quote("bulkhead/run-1:x=y@z,%+"), "bulkhead/run-1:x=y@z,%+");
  EXPECT_EQ(shell_quote(""), "''");
  EXPECT_EQ(shell_quote("two words"), "'two words'");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quote("$(rm -rf ~)"), "'$(rm -rf ~)'");
  EXPECT_EQ(shell_quote("~"), "'~'");
}

TEST(Hex, ASha256IsSixtyFourSmallDigits) {
  const std::string good = std::string(32, '0') + std::string(32, 'f');
  EXPECT_TRUE(is_sha256_hex(good));
  for (const std::string& bad : {std::string(), good.substr(1), good + "0", good.substr(1) + "F", good.substr(1) + "g",
                                 good.substr(1) + "/", good.substr(1) + std::string(1, '\0')})
    EXPECT_FALSE(is_sha256_hex(bad)) << bad;
}

}  // namespace
}  // namespace bulkhead
