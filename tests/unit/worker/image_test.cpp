// What an image's layers may do to the tree they make, and what they may not. The layers here are hostile.
#include <fcntl.h>
#include <unistd.h>

#include "supervisor/image/digest.h"
#include "supervisor/worker/layer_stream.h"
#include "tests/unit/worker/image_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TarEntry file(std::string name, std::string content = "x", mode_t mode = 0644) {
  return {.name = std::move(name), .mode = mode, .content = std::move(content)};
}
TarEntry directory(std::string name, mode_t mode = 0755) {
  return {.name = std::move(name), .type = S_IFDIR, .mode = mode};
}
TarEntry link_to(std::string name, std::string target) {
  return {.name = std::move(name), .type = S_IFLNK, .mode = 0777, .link = std::move(target)};
}
TarEntry hard_link(std::string name, std::string target) {
  return {.name = std::move(name), .hard_link = std::move(target)};
}

TEST_F(ImageTest, UnpacksFilesLinksAndDirectoriesWithTheirModesAndTimes) {
  for (const LayerCompression compression : {LayerCompression::none, LayerCompression::gzip, LayerCompression::zstd}) {
    const auto facts = unpack_layers(
        {{.archive = tar({directory("./"), directory("bin", 0555), file("bin/sh", "#!", 0755), link_to("sh", "/bin/sh"),
                          hard_link("bin/ash", "bin/sh"), file("deep/er/implied", "y", 0640)}),
          .compression = compression}});
    ASSERT_TRUE(facts) << error_of(facts);
    EXPECT_EQ(facts->bytes, 3u);
    EXPECT_EQ(facts->entries, 8u);  // two directories were implied
    EXPECT_EQ(facts->layers, 1u);
    EXPECT_EQ(read(tree("bin/sh")), "#!");
    EXPECT_EQ(status_of_entry("bin").st_mode, S_IFDIR | 0555u);
    EXPECT_EQ(status_of_entry("bin").st_mtim.tv_sec, 1'600'000'000);
    EXPECT_EQ(status_of_entry("bin/sh").st_mode, S_IFREG | 0755u);
    EXPECT_EQ(status_of_entry("bin/sh").st_mtim.tv_sec, 1'600'000'000);
    EXPECT_EQ(status_of_entry("bin/sh").st_ino, status_of_entry("bin/ash").st_ino);
    EXPECT_EQ(sh(".", "readlink tree/sh"), "/bin/sh");
    EXPECT_EQ(status_of_entry("deep/er").st_mode, S_IFDIR | 0755u);
    EXPECT_EQ(status_of_entry("deep/er/implied").st_mode, S_IFREG | 0640u);
    EXPECT_EQ(status_of_entry("").st_mode, S_IFDIR | 0755u);
  }
}

TEST_F(ImageTest, NamesCannotLeadUpwards) {
  for (const char* name : {"../out", "a/../../out", "a/..", "/../out"}) {
    const auto facts = unpack_entries({file(name)});
    EXPECT_EQ(error_of(facts), "unpack '" + std::string(name) + "': its name leads upwards with '..'");
    EXPECT_FALSE(exists("out"));
  }
  EXPECT_THAT(error_of(unpack_entries({file("f"), hard_link("g", "../../etc/passwd")})), HasSubstr("leads upwards"));
}

TEST_F(ImageTest, AbsoluteNamesAreBelowTheRoot) {
  ASSERT_TRUE(unpack_entries({file("/etc/motd", "hello"), hard_link("/etc/issue", "/etc/motd")}));
  EXPECT_EQ(read(tree("etc/issue")), "hello");
}

TEST_F(ImageTest, ALinkAmongTheParentsLeadsWhereItWouldInside) {
  sh(".", "mkdir outside");
  const std::string outside = path("outside");
  // The same name inside is made by the layer: nothing is ever written to the one outside.
  const auto facts = unpack_entries({directory(outside), link_to("a", outside), file("a/one", "1"),
                                     link_to("b", "../../../../../../../.." + outside), file("b/two", "2"),
                                     link_to("c", "a"), file("c/three", "3")});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh(".", "ls outside"), "");
  EXPECT_EQ(sh("tree" + outside, "ls"), "one\nthree\ntwo");
  EXPECT_THAT(error_of(unpack_entries({link_to("a", outside), file("a/one")})),
              HasSubstr("the link 'a' above it points nowhere"));
  EXPECT_THAT(error_of(unpack_entries({link_to("a", "a"), file("a/one")})), HasSubstr("Too many levels"));
  EXPECT_EQ(sh(".", "ls outside"), "");
}

TEST_F(ImageTest, AMagicLinkIsNoWayOut) {
  EXPECT_THAT(error_of(unpack_entries({link_to("p", "/proc/self/cwd"), file("p/x")})), HasSubstr("points nowhere"));
}

TEST_F(ImageTest, AnEntryReplacesALinkAndIsNotWrittenThroughIt) {
  write("victim", "untouched");
  ASSERT_TRUE(
      unpack_entries({link_to("f", path("victim")), file("f", "mine"), link_to("d", path("")), directory("d")}));
  EXPECT_EQ(read("victim"), "untouched");
  EXPECT_EQ(read(tree("f")), "mine");
  EXPECT_EQ(status_of_entry("d").st_mode, S_IFDIR | 0755u);
}

TEST_F(ImageTest, AHardLinkIsMadeToTheLinkItselfAndToNothingOutside) {
  write("victim", "untouched");
  ASSERT_TRUE(unpack_entries({link_to("l", path("victim")), hard_link("h", "l")}));
  EXPECT_EQ(status_of_entry("h").st_mode & S_IFMT, static_cast<mode_t>(S_IFLNK));
  EXPECT_THAT(error_of(unpack_entries({hard_link("h", path("victim"))})), HasSubstr("which is not there"));
  EXPECT_THAT(error_of(unpack_entries({directory("d"), hard_link("h", "d")})), HasSubstr("a hard link to a directory"));
  EXPECT_EQ(read("victim"), "untouched");
}

TEST_F(ImageTest, DevicesPipesAndSetuidBitsStayOut) {
  const auto facts = unpack_entries({file("su", "x", 06755),
                                     directory("t", 03777),
                                     {.name = "null", .type = S_IFCHR},
                                     {.name = "disk", .type = S_IFBLK},
                                     {.name = "pipe", .type = S_IFIFO}});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->left_out, 3u);
  EXPECT_EQ(status_of_entry("su").st_mode, S_IFREG | 0755u);
  EXPECT_EQ(status_of_entry("t").st_mode, S_IFDIR | 01777u);
  EXPECT_EQ(sh("tree", "ls"), "su\nt");
}

TEST_F(ImageTest, ExtendedAttributesStayOutUnlessAskedFor) {
  TarEntry entry = file("f");
  entry.attributes = {{"user.note", "kept"}, {"user.overlay.opaque", "y"}, {"security.capability", "zzzz"}};
  TarEntry below = directory("d");
  below.attributes = {{"user.note", "kept"}};
  ASSERT_TRUE(unpack_entries({entry, below}));
  const std::string list = "python3 -c 'import os; print([*os.listxattr(\"tree/f\"), *os.listxattr(\"tree/d\")])'";
  EXPECT_EQ(sh(".", list), "[]");
  bounds_.attributes = ImageAttributes::user;
  const auto facts = unpack_entries({entry, below});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh(".", list), "['user.note', 'user.note']");
}

TEST_F(ImageTest, ExtendedAttributesThatAreKeptCount) {
  TarEntry large = file("f"), below = directory("d");
  large.attributes = {{"user.note", std::string(600, 'n')}};
  below.attributes = large.attributes;
  bounds_.max_bytes = 1000;
  EXPECT_EQ(unpack_entries({large, below}).value().bytes, 1u);  // they are dropped
  bounds_.attributes = ImageAttributes::user;
  EXPECT_THAT(error_of(unpack_entries({large, below})), HasSubstr("with it the image is larger than 1000"));
  bounds_.max_bytes = 4000;
  EXPECT_GE(unpack_entries({large, below}).value().bytes, 1u + 2 * 609);  // archives may name each twice
}

TEST_F(ImageTest, ALaterLayerHidesAndReplaces) {
  const auto facts = unpack_layers(
      {{.archive = tar({file("keep/a", "a"), file("keep/b", "b"), file("opaque/old", "o"), file("opaque/both", "low"),
                        file("opaque/sub/old", "o"), file("tree/file", "x"), file("was-file", "x"),
                        directory("was-dir"), file("was-dir/in", "x"), file("low", "low")})},
       {.archive = tar({file("keep/.wh.a", ""), file("opaque/both", "high"), file("opaque/sub/new", "n"),
                        file("opaque/.wh..wh..opq", ""), file(".wh.tree", ""), directory("was-file"),
                        file("was-file/in", "y"), file("was-dir", "y"), hard_link("keep/c", "low"),
                        file("keep/.wh.never-was", ""), file(".wh..wh.plnk", ""), file("gone/.wh.x", "")})}});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh("tree", "find . -type f | sort"),
            "./keep/b\n./keep/c\n./low\n./opaque/both\n./opaque/sub/new\n./was-dir\n./was-file/in");
  EXPECT_EQ(read(tree("opaque/both")), "high");
  EXPECT_EQ(read(tree("keep/c")), "low");
}

TEST_F(ImageTest, AWhiteoutConcernsLowerLayersOnlyWhereverItStands) {
  const std::vector<TarEntry> before{file(".wh.f", ""), file("f", "new")}, after{file("f", "new"), file(".wh.f", "")};
  for (const auto& upper : {before, after}) {
    ASSERT_TRUE(unpack_layers({{.archive = tar({file("f", "old")})}, {.archive = tar(upper)}}));
    EXPECT_EQ(read(tree("f")), "new");
  }
  // In the lowest layer there is nothing to hide; the mark itself never shows.
  ASSERT_TRUE(unpack_entries({file("f", "x"), file(".wh.f", "")}));
  EXPECT_EQ(sh("tree", "ls -A"), "f");
}

TEST_F(ImageTest, AWhiteoutRemovesALinkAndNotWhatItPointsTo) {
  sh(".", "mkdir -p outside/dir; touch outside/dir/file");
  ASSERT_TRUE(
      unpack_layers({{.archive = tar({link_to("l", path("outside")), link_to("m", path("outside/dir"))})},
                     {.archive = tar({file(".wh.l", ""), file("m/.wh.file", ""), file("m/.wh..wh..opq", "")})}}));
  EXPECT_TRUE(exists("outside/dir/file"));
  EXPECT_EQ(sh("tree", "ls"), "m");
  for (const char* name : {".wh.", ".wh..", ".wh..."})
    EXPECT_THAT(error_of(unpack_entries({file(name, "")})), HasSubstr("a whiteout of nothing"));
  EXPECT_THAT(error_of(unpack_entries({file(".wh.d/f")})), HasSubstr("it lies below a whiteout"));
}

TEST_F(ImageTest, OfTwoEntriesOfANameTheLastCounts) {
  ASSERT_TRUE(unpack_entries({file("f", "first"), file("f", "second"), file("F", "other"), directory("d", 0700),
                              file("d/x", "x"), directory("d", 0711)}));
  EXPECT_EQ(read(tree("f")), "second");
  EXPECT_EQ(read(tree("F")), "other");
  EXPECT_EQ(read(tree("d/x")), "x");
  EXPECT_EQ(status_of_entry("d").st_mode, S_IFDIR | 0711u);
}

TEST_F(ImageTest, OfTwoNamesOfADirectoryTheLastCounts) {
  const std::vector<TarEntry> lower{directory("usr/lib", 0511), link_to("lib", "usr/lib")};
  const auto unpacked = [&](const std::vector<TarEntry>& first, const std::vector<TarEntry>& second) {
    const auto facts = unpack_layers({{.archive = tar(lower)}, {.archive = tar(first)}, {.archive = tar(second)}});
    EXPECT_TRUE(facts) << error_of(facts);
    EXPECT_EQ(status_of_entry("usr/lib").st_mode, S_IFDIR | 0511u);
    return status_of_entry("usr/lib/x").st_mode & 07777u;
  };
  EXPECT_EQ(unpacked({directory("lib/x", 0700)}, {directory("usr/lib/x", 0755)}), 0755u);
  EXPECT_EQ(unpacked({directory("usr/lib/x", 0700)}, {directory("lib/x", 0755)}), 0755u);
  // Of one that went by its other name nothing stays.
  for (const char* whiteout : {"lib/.wh.x", "usr/lib/.wh.x", "usr/lib/.wh..wh..opq", "lib/.wh..wh..opq"})
    for (const char* made : {"lib/x", "usr/lib/x"})
      EXPECT_EQ(unpacked({directory(made, 0700)}, {file(whiteout, ""), file("usr/lib/x/y")}), 0755u)
          << whiteout << made;
}

TEST_F(ImageTest, LongAndOddNamesAndHoles) {
  const std::string longest(255, 'n'), odd = "a\\b\n\x1b[31m", composed = "\xc3\xa9", decomposed = "e\xcc\x81";
  const auto facts = unpack_entries({file(longest + "/" + longest), file(odd), file(composed), file(decomposed)});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_NE(status_of_entry(longest + "/" + longest).st_mode, 0u);
  EXPECT_NE(status_of_entry(odd).st_mode, 0u);
  EXPECT_NE(status_of_entry(composed).st_ino, status_of_entry(decomposed).st_ino);
  EXPECT_NE(status_of_entry(decomposed).st_mode, 0u);
  EXPECT_THAT(error_of(unpack_entries({file(std::string(256, 'n'))})), HasSubstr("longer than 255 bytes"));
}

TEST_F(ImageTest, HolesStayHolesAndCount) {
  for (const char* format : {"pax", "gnu"}) {
    sh(".", "rm -rf from; mkdir from; truncate -s 600k from/sparse; echo end >>from/sparse; tar -S --format=" +
                std::string(format) + " -C from -cf sparse.tar sparse");
    const std::string archive = read("sparse.tar");
    ASSERT_LT(archive.size(), 20'000u);
    bounds_.max_bytes = 1 << 20;
    const auto facts = unpack_layers({{.archive = archive}});
    ASSERT_TRUE(facts) << error_of(facts);
    EXPECT_EQ(status_of_entry("sparse").st_size, 600 * 1024 + 4);
    EXPECT_LT(status_of_entry("sparse").st_blocks, 100);
    EXPECT_EQ(sh(".", "tail -c 4 tree/sparse"), "end");
    bounds_.max_bytes = 500 << 10;
    EXPECT_THAT(error_of(unpack_layers({{.archive = archive}})), HasSubstr("larger than 500Ki"));
  }
}

TEST_F(ImageTest, DepthIsBounded) {
  std::string deep;
  for (int i = 0; i < 255; ++i) deep += "d/";
  bounds_.max_entries = 1000;
  ASSERT_TRUE(unpack_entries({file(deep + "f")}));
  EXPECT_THAT(error_of(unpack_entries({file(deep + "d/f")})), HasSubstr("more than 256 directories deep"));
  // By links one gets deeper; what was made can be removed all the same.
  ASSERT_TRUE(
      unpack_layers({{.archive = tar({file(deep + "f"), link_to("l", deep), file("l/" + deep.substr(0, 400) + "f")})},
                     {.archive = tar({file(".wh.d", "")})}}));
  EXPECT_EQ(sh("tree", "ls"), "l");
}

TEST_F(ImageTest, BombsAreRefused) {
  const std::string zeros(4 << 20, '\0');
  EXPECT_THAT(error_of(unpack_entries({file("zeros", zeros)})),
              HasSubstr("unpack 'zeros': with it the image is larger than 1Mi [if that is right, raise the bound"));
  // Behind the end of the archive, where no entry counts it.
  bounds_.max_entries = 16;
  const std::string padded = tar({file("f")}) + zeros;
  EXPECT_THAT(error_of(unpack_layers({{.archive = padded}})), HasSubstr("larger than 1.1Mi when it is decompressed"));
  bounds_.max_entries = 3;
  EXPECT_THAT(error_of(unpack_entries({file("a"), file("b"), file("c"), file("d")})),
              HasSubstr("unpack 'd': the image has more than 3 files"));
  EXPECT_THAT(error_of(unpack_entries({file("a/b/c/d")})), HasSubstr("more than 3 files"));
}

TEST_F(ImageTest, BlobsAreWhatTheirDigestsSay) {
  const TestLayer good{.archive = tar({file("f", "content")})};
  const std::string blob = compressed(good.archive, LayerCompression::gzip);
  TestLayer layer = good;
  layer.blob_digest = "sha256:" + std::string(64, 'a');
  EXPECT_THAT(error_of(unpack_layers({layer})), HasSubstr("its content is " + digest_of(blob)));
  EXPECT_EQ(sh("tree", "ls"), "");  // nothing was used
  layer = good;
  layer.size = blob.size() + 1;
  EXPECT_THAT(error_of(unpack_layers({layer})), HasSubstr("bytes instead of"));
  layer = good;
  layer.diff_id = digest_of("something else");
  EXPECT_THAT(error_of(unpack_layers({layer})), HasSubstr("but the image's configuration says " + layer.diff_id));
  layer = good;
  layer.blob_digest = "sha256:../../../../etc/passwd";
  layer.blob_digest.resize(71, '.');
  EXPECT_THAT(error_of(unpack(add_image({good}, "", {}, {{"digest", layer.blob_digest}}))), StartsWith("no error"));
  EXPECT_THAT(error_of(choose()), HasSubstr("is none by sha256"));
}

// It was checked before it was opened; what counts is what was read.
TEST_F(ImageTest, ABlobThatChangesWhileItIsReadIsRefused) {
  const std::string archive = tar({file("f", std::string(3 << 20, 'a'))});
  std::string swapped = archive;
  swapped.replace(2 << 20, 4096, 4096, 'b');
  add_image({{.archive = archive, .compression = LayerCompression::none}});
  const auto layout = ImageLayout::open(path("layout"));
  ASSERT_TRUE(layout) << error_of(layout);
  const ImageLayer layer{.blob = {.digest = digest_of(archive)}, .diff_id = digest_of(swapped)};
  const auto blob = layout->blob(layer.blob);
  ASSERT_TRUE(blob) << error_of(blob);
  const auto stream = LayerStream::open(*blob, layer, 1 << 30);
  ASSERT_TRUE(stream) << error_of(stream);
  const std::string name = "layout/blobs/sha256/" + std::string(digest_hex(layer.blob.digest));
  const Fd writer(::open(path(name).c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::pwrite(writer.get(), swapped.data() + (2 << 20), 4096, 2 << 20), 4096);
  ASSERT_TRUE((*stream)->next());
  EXPECT_THAT(error_of((*stream)->finish()), HasSubstr("it changed while it was read"));
}

TEST_F(ImageTest, ADocumentThatIsTooLargeIsNotEvenRead) {
  const std::string digest = "sha256:" + std::string(64, 'e');
  put("x", "y");
  write_index();
  sh(".", "truncate -s 1T layout/blobs/sha256/" + digest.substr(7));
  EXPECT_THAT(error_of(choose("", digest)), HasSubstr("is larger than 4 MiB"));
}

TEST_F(ImageTest, BrokenCompressionIsRefused) {
  for (const LayerCompression compression : {LayerCompression::gzip, LayerCompression::zstd}) {
    TestLayer layer{.archive = tar({file("f", std::string(100'000, 'x'))}), .compression = compression};
    std::string blob = compressed(layer.archive, compression);
    blob.resize(blob.size() - blob.size() / 3);
    layer.blob = blob;
    EXPECT_NE(error_of(unpack_layers({layer})), "no error");
    layer.blob = layer.archive;  // not compressed at all
    EXPECT_THAT(error_of(unpack_layers({layer})), HasSubstr("it is not what its type says"));
  }
  TestLayer layer{.archive = "this is no archive", .compression = LayerCompression::none};
  EXPECT_NE(error_of(unpack_layers({layer})), "no error");
}

TEST_F(ImageTest, AnUnknownLayerTypeIsRefused) {
  TestLayer layer{.archive = tar({file("f")}), .media_type = "application/vnd.oci.image.layer.v1.tar+encrypted"};
  EXPECT_THAT(error_of(unpack_layers({layer})),
              HasSubstr("its type 'application/vnd.oci.image.layer.v1.tar+encrypted' is none that is understood"));
}

TEST_F(ImageTest, AnEmptyImageAndAnEmptyLayer) {
  EXPECT_EQ(error_of(unpack_layers({})), "no error");
  EXPECT_EQ(error_of(unpack_layers({{.archive = tar({})}, {.archive = "", .compression = LayerCompression::none}})),
            "no error");
}

TEST_F(ImageTest, TheEnvironmentIsTold) {
  const auto facts = unpack(add_image({}, "", {{"config", {{"Env", {"PATH=/x", "BAD=a\nb", "=no", "A=b=c"}}}}}));
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->environment, (std::vector<std::string>{"PATH=/x", "A=b=c"}));
}

TEST_F(ImageTest, OneImageIsChosen) {
  const std::string one = add_image({{.archive = tar({file("one")})}}, "one");
  EXPECT_EQ(choose().value(), one);
  const std::string two = add_image({{.archive = tar({file("two")})}}, "two");
  EXPECT_EQ(choose("two").value(), two);
  EXPECT_EQ(choose("", one).value(), one);
  EXPECT_EQ(choose("one", one).value(), one);
  EXPECT_THAT(error_of(choose()), HasSubstr("it has several: 'one' " + one + ", 'two' " + two));
  EXPECT_THAT(error_of(choose("three")), HasSubstr("none has the reference 'three'; there are: 'one' " + one));
  EXPECT_THAT(error_of(choose("one", two)), HasSubstr("the reference 'one' is no longer the pinned " + two));
  EXPECT_THAT(error_of(choose("", "sha256:" + std::string(64, '0'))), HasSubstr("No such file"));
}

TEST_F(ImageTest, AnIndexIsForPlatforms) {
  const auto for_platform = [](const std::string& architecture) {
    return nlohmann::json{{"platform", {{"os", "linux"}, {"architecture", architecture}}}};
  };
  const std::string ours = add_image({{.archive = tar({file("ours")})}}, "", {}, for_platform(host_architecture()));
  add_image({{.archive = tar({file("theirs")})}}, "", {}, for_platform("mips"));
  const nlohmann::json inner = index_;
  const std::string index_type = "application/vnd.oci.image.index.v1+json";
  nlohmann::json row = put(inner.dump(), index_type);
  row["annotations"] = {{"org.opencontainers.image.ref.name", "multi"}};
  index_["manifests"] = nlohmann::json::array({row});
  write_index();
  EXPECT_EQ(choose("multi"), ours) << error_of(choose("multi"));
  EXPECT_EQ(choose("", row["digest"]), ours);
  nlohmann::json foreign = {{"schemaVersion", 2}, {"manifests", nlohmann::json::array({inner["manifests"][1]})}};
  index_["manifests"] = nlohmann::json::array({put(foreign.dump(), index_type)});
  write_index();
  EXPECT_THAT(error_of(choose()), HasSubstr("it has none for linux/" + host_architecture() + ", but for these:"));
  // Indexes in indexes, without end in sight.
  for (int i = 0; i < 6; ++i) {
    index_["manifests"] = nlohmann::json::array({put(index_.dump(), index_type)});
    write_index();
  }
  EXPECT_THAT(error_of(choose()), HasSubstr("nested too deep"));
}

// What was checked elsewhere must be what is taken here, whoever reads it how.
TEST_F(ImageTest, ADocumentIsAManifestOrAnIndexAndNeverBoth) {
  const std::string index_type = "application/vnd.oci.image.index.v1+json";
  const std::string manifest_type = "application/vnd.oci.image.manifest.v1+json";
  const std::string inner = image_of({file("f")});
  const nlohmann::json good = nlohmann::json::parse(read("layout/blobs/sha256/" + inner.substr(7)));
  const nlohmann::json listed = index_["manifests"];
  const auto names = [&](const nlohmann::json& document, const std::string& media_type) {
    const nlohmann::json row = put(document.dump(), media_type);
    index_["manifests"] = nlohmann::json::array({row});
    write_index();
    return row["digest"].get<std::string>();
  };
  nlohmann::json both = good;
  both["manifests"] = listed;
  for (const char* says : {"", manifest_type.c_str(), index_type.c_str()}) {
    if (*says == 0) {
      both.erase("mediaType");
    } else {
      both["mediaType"] = says;
    }
    for (const std::string& named : {manifest_type, index_type}) {
      const std::string digest = names(both, named);
      const bool contradicts = *says != 0 && named != says;
      const std::string wanted = contradicts ? "it says that it is '" : "it can be read as a manifest and as an index";
      EXPECT_THAT(error_of(choose()), HasSubstr(wanted)) << says << named;
      EXPECT_THAT(error_of(choose("", digest)), HasSubstr("it can be read as")) << says << named;
      EXPECT_THAT(error_of(unpack(digest)), HasSubstr("it can be read as")) << says << named;
    }
  }
  // Of one kind, under the name of the other.
  nlohmann::json index = {{"schemaVersion", 2}, {"mediaType", index_type}, {"manifests", listed}};
  names(index, manifest_type);
  EXPECT_THAT(error_of(choose()), HasSubstr("it says that it is '" + index_type + "', and what names it, '"));
  names(good, index_type);
  EXPECT_THAT(error_of(choose()), HasSubstr("it says that it is '" + manifest_type));
  index.erase("mediaType");
  const std::string digest = names(index, manifest_type);
  EXPECT_THAT(error_of(choose()), HasSubstr("it can be read as"));
  EXPECT_THAT(error_of(unpack(digest)), HasSubstr("it is an index of manifests"));
  nlohmann::json odd = good;
  odd["mediaType"] = "application/vnd.oci.artifact.manifest.v1+json";
  EXPECT_THAT(error_of(choose("", names(odd, manifest_type))), HasSubstr("is none of an image's"));
  // Silent about itself it is what names it, and good.
  nlohmann::json silent = good;
  silent.erase("mediaType");
  const std::string plain = names(silent, manifest_type);
  EXPECT_EQ(choose().value(), plain);
  EXPECT_EQ(choose("", plain).value(), plain);
  EXPECT_TRUE(unpack(plain));
}

TEST_F(ImageTest, AnImageForAnotherMachineIsRefused) {
  EXPECT_THAT(error_of(unpack(add_image({}, "", {{"architecture", "mips"}}))),
              HasSubstr("the image is for mips, this host is " + host_architecture()));
}

TEST_F(ImageTest, WhatIsNoLayoutIsRefused) {
  sh(".", "mkdir layout");
  EXPECT_THAT(error_of(choose()), HasSubstr("it has no file 'oci-layout'"));
  add_image({{.archive = tar({file("f")})}});
  write("layout/oci-layout", R"({"imageLayoutVersion": "2.0.0"})");
  EXPECT_THAT(error_of(choose()), HasSubstr("its version is not 1"));
  write("layout/oci-layout", R"({"imageLayoutVersion": "1.0.0"})");
  for (const char* text : {"", "[", "{", "[]", R"({"manifests": 3})", R"({"manifests": [3]})", "{\"manifests\": []}"}) {
    write("layout/index.json", text);
    EXPECT_NE(error_of(choose()), "no error") << text;
  }
  write("layout/index.json", std::string(5 << 20, ' '));
  EXPECT_NE(error_of(choose()), "no error");
  write("layout/index.json", "{\"manifests\":" + std::string(2'000'000, '['));
  EXPECT_NE(error_of(choose()), "no error");
  sh(".", "ln -s layout link");
  EXPECT_THAT(error_of(work(SelectImageRequest{.layout = path("link"), .architecture = host_architecture()})),
              HasSubstr("link: is a symbolic link [name the directory that it leads to]"));
  sh("layout", "rm index.json; mkfifo index.json");
  EXPECT_THAT(error_of(choose()), HasSubstr("is not a regular file"));
  sh("layout", "rm index.json; ln -s /etc/passwd index.json");
  EXPECT_NE(error_of(choose()), "no error");
}

}  // namespace
}  // namespace bulkhead
