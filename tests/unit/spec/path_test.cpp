#include "sandbox/spec/path.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

std::string refusal(std::string_view text) {
  const auto path = SandboxPath::parse(text);
  return path ? "accepted as " + path->str() : path.error().text();
}

SandboxPath path(std::string_view text) { return SandboxPath::parse(text).value(); }

TEST(SandboxPath, IsNormalised) {
  EXPECT_EQ(path("/").str(), "/");
  EXPECT_EQ(path("/a/b").str(), "/a/b");
  EXPECT_EQ(path("//a///b/").str(), "/a/b");
  EXPECT_EQ(path("/...").str(), "/...");
  EXPECT_EQ(path("/a/..b/c..").str(), "/a/..b/c..");
}

TEST(SandboxPath, CannotHoldWhatLeadsElsewhere) {
  EXPECT_EQ(refusal(""), "read path '': is not an absolute path");
  EXPECT_EQ(refusal("a/b"), "read path 'a/b': is not an absolute path");
  EXPECT_EQ(refusal("/a/../b"), "read path '/a/../b': holds '..'");
  EXPECT_EQ(refusal("/.."), "read path '/..': holds '..'");
  EXPECT_EQ(refusal("/a/./b"), "read path '/a/./b': holds '.'");
  EXPECT_EQ(refusal(std::string_view("/a\0/b", 5)), "read path '/a\\x00/b': holds a NUL character");
  EXPECT_FALSE(SandboxPath::parse("/" + std::string(256, 'x')));
  EXPECT_TRUE(SandboxPath::parse("/" + std::string(255, 'x')));
  std::string deep;
  while (deep.size() < 4096) deep += "/x";
  EXPECT_FALSE(SandboxPath::parse(deep));
}

TEST(SandboxPath, KnowsWhatIsBelowWhat) {
  EXPECT_TRUE(path("/a/b").is_below(path("/a")));
  EXPECT_TRUE(path("/a").is_below(path("/")));
  EXPECT_FALSE(path("/a").is_below(path("/a")));
  EXPECT_FALSE(path("/").is_below(path("/")));
  EXPECT_FALSE(path("/ab").is_below(path("/a")));
  EXPECT_FALSE(path("/a").is_below(path("/a/b")));
}

TEST(SandboxPath, HasAParentUpToTheRoot) {
  EXPECT_EQ(path("/a/b").parent(), path("/a"));
  EXPECT_EQ(path("/a").parent(), path("/"));
  EXPECT_EQ(path("/").parent(), path("/"));
  EXPECT_TRUE(path("/").is_root());
}

TEST(SandboxPath, SortsParentsBeforeChildren) {
  EXPECT_LT(path("/a"), path("/a/b"));
  EXPECT_LT(path("/a"), path("/a-b"));
}

}  // namespace
}  // namespace bulkhead
