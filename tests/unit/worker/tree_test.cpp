// copy-tree and remove-tree.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sandbox/sys/fd.h"
#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

class CopyTree : public WorkerTest {
 protected:
  CopyTree() { sh(".", "mkdir from to"); }
  CopyTreeRequest request() const { return {.from = path("from"), .to = path("to")}; }
  struct stat status(const std::string& name) const {
    struct stat result{};
    EXPECT_EQ(::lstat(path(name).c_str(), &result), 0) << name;
    return result;
  }
  std::string attribute(const std::string& name, const char* key) const {
    char value[256];
    const ssize_t n = ::lgetxattr(path(name).c_str(), key, value, sizeof value);
    return n < 0 ? "none" : std::string(value, static_cast<std::size_t>(n));
  }
};

TEST_F(CopyTree, KeepsFilesModesTimesLinksAndHoles) {
  sh("from",
     "mkdir -p d/e; echo hello > d/e/f; chmod 640 d/e/f; touch -d '2001-02-03 04:05:06.789' d/e/f; chmod 1777 d;"
     "ln -s /etc/passwd out; ln -s nowhere gone; ln d/e/f again; printf x > sparse; truncate -s 64M sparse;"
     "printf y >> sparse; : > empty; touch -d '2002-01-01' d d/e; touch -h -d '2003-01-01' out; mkfifo fifo");
  const auto facts = work(request());
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->files, 3U);
  EXPECT_EQ(facts->directories, 2U);
  EXPECT_EQ(facts->links, 2U);
  EXPECT_EQ(facts->hard_links, 1U);
  EXPECT_EQ(facts->fifos, 1U);
  EXPECT_EQ(facts->skipped, 0U);
  EXPECT_EQ(facts->vanished, 0U);
  EXPECT_LT(facts->bytes, 1U << 20);
  const std::string list = "find . -printf '%P %y %m %s %T@ %l\\n' | grep -v '^ ' | sort";
  EXPECT_EQ(sh("to", list), sh("from", list));
  EXPECT_EQ(sh(".", "cmp from/sparse to/sparse; cat to/d/e/f; readlink to/out"), "hello\n/etc/passwd");
  EXPECT_EQ(status("to/again").st_ino, status("to/d/e/f").st_ino);
  EXPECT_LT(status("to/sparse").st_blocks, 2048);
}

TEST_F(CopyTree, KeepsWhatOverlayNeedsAndNothingElse) {
  sh("from", "mkdir opaque; echo x > f");
  ASSERT_EQ(::mknod(path("from/deleted").c_str(), S_IFCHR | 0600, makedev(0, 0)), 0);
  ASSERT_EQ(::setxattr(path("from/opaque").c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(::setxattr(path("from/opaque").c_str(), "user.other", "z", 1, 0), 0);
  ASSERT_EQ(::setxattr(path("from/f").c_str(), "user.overlay.origin", "o\0p", 3, 0), 0);
  sh("from", "chmod 6755 f; chmod 2755 opaque");
  const auto facts = work(request());
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->whiteouts, 1U);
  EXPECT_TRUE(S_ISCHR(status("to/deleted").st_mode));
  EXPECT_EQ(status("to/deleted").st_rdev, makedev(0, 0));
  EXPECT_EQ(attribute("to/opaque", "user.overlay.opaque"), "y");
  EXPECT_EQ(attribute("to/opaque", "user.other"), "none");
  EXPECT_EQ(attribute("to/f", "user.overlay.origin"), std::string("o\0p", 3));
  EXPECT_EQ(status("to/f").st_mode & 07777, 0755U);
  EXPECT_EQ(status("to/opaque").st_mode & 07777, 0755U);
}

TEST_F(CopyTree, SocketsAreSkippedAndCounted) {
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path("from/s").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const auto facts = work(request());
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->skipped, 1U);
  EXPECT_FALSE(exists("to/s"));
}

TEST_F(CopyTree, NothingIsReadThroughALink) {
  sh(".", "mkdir outside; echo secret > outside/s; ln -s ../outside from/dir; ln -s ../outside/s from/file");
  const auto facts = work(request());
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->links, 2U);
  EXPECT_EQ(facts->files, 0U);
  EXPECT_EQ(sh("to", "readlink dir file"), "../outside\n../outside/s");
  sh(".", "ln -s from link");
  auto linked = request();
  linked.from = path("link");
  EXPECT_EQ(error_of(work(linked)), "open " + path("link") + ": Not a directory");
}

TEST_F(CopyTree, ExcludesExactPathsWithAllBelow) {
  sh("from", "mkdir -p .cache/x keep/.cache; echo 1 > .cache/x/f; echo 2 > keep/.cache/f; echo 3 > log");
  auto with = request();
  with.exclude = {".cache", "log"};
  const auto facts = work(with);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh("to", "find . | sort"), ".\n./keep\n./keep/.cache\n./keep/.cache/f");
}

TEST_F(CopyTree, IsBounded) {
  sh("from", "head -c 200000 /dev/zero | tr '\\0' x > big; touch a b c");
  auto few = request();
  few.max_bytes = 100000;
  EXPECT_EQ(error_of(work(few)), "copy tree: it is larger than 97.7Ki");
  sh(".", "rm -r to; mkdir to");
  auto short_of = request();
  short_of.max_files = 3;
  EXPECT_EQ(error_of(work(short_of)), "copy tree: it has more than 3 files");
  EXPECT_EQ(error_of(work(request())), "copy tree to " + path("to") + ": the directory is not empty");
}

TEST_F(CopyTree, DepthIsBoundedToo) {
  sh("from", "for i in $(seq 300); do mkdir d; cd d; done");
  EXPECT_THAT(error_of(work(request())), HasSubstr("nested deeper than 240 directories"));
}

TEST_F(CopyTree, ACopyOfACopyIsTheSame) {
  sh("from", "mkdir a; echo 1 > a/f; ln -s a l; ln a/f h");
  ASSERT_EQ(::mknod(path("from/w").c_str(), S_IFCHR | 0600, makedev(0, 0)), 0);
  sh(".", "mkdir again");
  ASSERT_TRUE(work(request()));
  ASSERT_TRUE(work(CopyTreeRequest{.from = path("to"), .to = path("again")}));
  const std::string list = "find . -printf '%P %y %m %n %s %T@ %l\\n' | grep -v '^ ' | sort";
  EXPECT_EQ(sh("again", list), sh("from", list));
}

class RemoveTree : public WorkerTest {
 protected:
  RemoveTree() { sh(".", "mkdir d"); }
  Result<RemoveTreeFacts> empty() const { return work(RemoveTreeRequest{.directory = path("d")}); }
};

TEST_F(RemoveTree, EmptiesWhateverTheModes) {
  sh("d", "mkdir -p a/b c; echo 1 > a/b/f; ln -s / root; mkfifo p; chmod 0 a/b a c; touch -- -x; mkdir -- --");
  const auto facts = empty();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->removed, 8U);
  EXPECT_EQ(sh("d", "ls -A"), "");
}

TEST_F(RemoveTree, FollowsNoLink) {
  sh(".", "mkdir outside; echo keep > outside/f; ln -s ../outside d/l; ln -s ../outside/f d/f");
  ASSERT_TRUE(empty());
  EXPECT_EQ(read("outside/f"), "keep\n");
  sh(".", "ln -s outside link");
  EXPECT_EQ(error_of(work(RemoveTreeRequest{.directory = path("link")})), "open " + path("link") + ": Not a directory");
}

TEST_F(RemoveTree, AnyDepth) {
  // Deeper than PATH_MAX and than the descriptors that a process may have.
  Fd at(::open(path("d").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), "dddddddd", 0755), 0);
    at = Fd(::openat(at.get(), "dddddddd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.valid());
  }
  ASSERT_TRUE(Fd(::openat(at.get(), "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)).valid());
  const auto facts = empty();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->removed, 3001U);
  EXPECT_EQ(sh("d", "ls -A"), "");
}

TEST_F(RemoveTree, NamesOfItsOwnCanBeTaken) {
  sh("d",
     "mkdir .bulkhead-remove-0; echo x > .bulkhead-remove-0/f; for i in $(seq 70); do mkdir e; cd e; done; touch f");
  ASSERT_TRUE(empty());
  EXPECT_EQ(sh("d", "ls -A"), "");
}

}  // namespace
}  // namespace bulkhead
