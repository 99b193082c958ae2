#include "supervisor/image/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"
#include "supervisor/image/descriptor.h"
#include "supervisor/image/digest.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr std::size_t kMostDocument = std::size_t{4} << 20;

// Regular files only: a pipe would keep us waiting.
Result<Fd> open_regular(int directory, const std::string& path, std::uint64_t& size) {
  BULKHEAD_ASSIGN(Fd fd, open_beneath(directory, path, O_RDONLY | O_NONBLOCK));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return errno_error("stat", path);
  if (!S_ISREG(st.st_mode)) return fail("open", path, "is not a regular file");
  size = static_cast<std::uint64_t>(st.st_size);
  return fd;
}

std::unexpected<Error> located(Error error, const std::string& directory) {
  error.object = directory + "/" + error.object;
  if (error.code == EACCES || error.code == EPERM)
    error.hint = "an image is read without privileges: chmod -R a+rX " + shell_quote(directory);
  return std::unexpected(std::move(error));
}

Result<json> parse_object(const std::string& text, const std::string& what) {
  json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return fail("read " + what, "", "it is no JSON object");
  return document;
}

std::string path_of(const Descriptor& descriptor) {
  return "blobs/sha256/" + std::string(digest_hex(descriptor.digest));
}

Result<std::string> hash(int fd, const std::string& object) {
  Sha256 sha;
  std::array<char, 1 << 16> buffer{};
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read", object);
    if (n == 0) return sha.digest();
    sha.add(buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

ImagePlatform platform_of(const std::string& machine) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> names{{{"x86_64", "amd64"},
                                                                                       {"aarch64", "arm64"},
                                                                                       {"i686", "386"},
                                                                                       {"armv7l", "arm"},
                                                                                       {"armv6l", "arm"},
                                                                                       {"loongarch64", "loong64"}}};
  for (const auto& [kernel, go] : names)
    if (machine == kernel) return {.os = "linux", .architecture = std::string(go)};
  return {.os = "linux", .architecture = machine};
}

Result<ImageLayout> ImageLayout::open(const std::string& directory) {
  auto fd = open_file(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (struct stat st{}; !fd && ::lstat(directory.c_str(), &st) == 0 && S_ISLNK(st.st_mode))
    return fail("open image layout", directory, "is a symbolic link", "name the directory that it leads to");
  if (!fd) {
    fd.error().operation = "open image layout";
    return std::unexpected(fd.error());
  }
  ImageLayout layout(directory, std::move(*fd));
  std::uint64_t size = 0;
  auto mark = open_regular(layout.fd_.get(), "oci-layout", size);
  if (!mark && mark.error().code == ENOENT)
    return fail("open image layout", directory, "it has no file 'oci-layout': it is none",
                "an OCI image layout is a directory such as `skopeo copy … oci:DIR` makes");
  if (!mark) return located(mark.error(), directory);
  BULKHEAD_ASSIGN(const std::string text, read_fd(mark->get(), 4096));
  BULKHEAD_ASSIGN(const json document, parse_object(text, directory + "/oci-layout"));
  const auto version = document.find("imageLayoutVersion");
  if (version == document.end() || !version->is_string() || !version->get_ref<const std::string&>().starts_with("1."))
    return fail("open image layout", directory, "its version is not 1");
  return layout;
}

Result<std::vector<Descriptor>> ImageLayout::index() const {
  std::uint64_t size = 0;
  auto fd = open_regular(fd_.get(), "index.json", size);
  if (!fd) return located(fd.error(), directory_);
  BULKHEAD_ASSIGN(const std::string text, read_fd(fd->get(), kMostDocument));
  const std::string what = directory_ + "/index.json";
  BULKHEAD_ASSIGN(const json document, parse_object(text, what));
  return read_descriptors("image index", document, "manifests");
}

Result<Fd> ImageLayout::open_blob(const Descriptor& descriptor, std::uint64_t& size) const {
  if (!is_digest(descriptor.digest))
    return fail("open blob", printable(descriptor.digest, 100), "only digests by sha256 are understood");
  const std::string path = path_of(descriptor);
  auto fd = open_regular(fd_.get(), path, size);
  if (!fd) return located(fd.error(), directory_);
  if (descriptor.size && *descriptor.size != size)
    return fail("check blob", directory_ + "/" + path,
                "it has " + std::to_string(size) + " bytes instead of " + std::to_string(*descriptor.size),
                "the image is damaged: copy it anew");
  return fd;
}

Result<> ImageLayout::check(const Descriptor& descriptor, const std::string& found) const {
  if (found == descriptor.digest) return {};
  return fail("check blob", directory_ + "/" + path_of(descriptor), "its content is " + found,
              "the image is damaged or was tampered with: copy it anew");
}

Result<Fd> ImageLayout::blob(const Descriptor& descriptor) const {
  std::uint64_t size = 0;
  BULKHEAD_ASSIGN(Fd fd, open_blob(descriptor, size));
  BULKHEAD_ASSIGN(const std::string found, hash(fd.get(), path_of(descriptor)));
  BULKHEAD_TRY(check(descriptor, found));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return errno_error("seek", path_of(descriptor));
  return fd;
}

Result<json> ImageLayout::document(const Descriptor& descriptor, const char* what) const {
  std::uint64_t size = 0;
  BULKHEAD_ASSIGN(const Fd fd, open_blob(descriptor, size));
  if (size > kMostDocument) return fail("read " + std::string(what), descriptor.digest, "is larger than 4 MiB");
  // Read once, checked as it was read: who writes to the layout meanwhile changes nothing of what is used.
  BULKHEAD_ASSIGN(const std::string text, read_fd(fd.get(), kMostDocument));
  Sha256 sha;
  sha.add(text.data(), text.size());
  BULKHEAD_TRY(check(descriptor, sha.digest()));
  return parse_object(text, std::string(what) + " " + descriptor.digest);
}

}  // namespace bulkhead
