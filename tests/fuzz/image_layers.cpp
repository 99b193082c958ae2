// Two layers of an image, of any bytes: whatever they say, nothing outside the tree changes, and nothing in it is of a
// kind that is left out.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "sandbox/sys/files.h"
#include "supervisor/image/digest.h"
#include "supervisor/worker/image_tree.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {
namespace {

namespace fs = std::filesystem;

struct Place {
  Place() {
    std::string name = (fs::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/bulkhead-fuzz-XXXXXX");
    require(::mkdtemp(name.data()) != nullptr, "make a directory");
    top = name;
    fs::create_directories(top + "/layout/blobs/sha256");
    require(write_file_atomic(top + "/layout/oci-layout", R"({"imageLayoutVersion": "1.0.0"})").has_value(), "layout");
    require(write_file_atomic(top + "/canary", "untouched").has_value(), "canary");
    fs::create_directory(top + "/here");
  }
  ~Place() { (void)remove_tree(top); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  std::string top;
};

ImageLayer put(const Place& place, std::string_view bytes) {
  Sha256 sha;
  sha.add(bytes.data(), bytes.size());
  ImageLayer layer;
  layer.blob.digest = layer.diff_id = sha.digest();
  const std::string path = place.top + "/layout/blobs/sha256/" + std::string(digest_hex(layer.diff_id));
  require(write_file_atomic(path, bytes).has_value(), "write a layer");
  return layer;
}

// The directory that relative names begin in, for the length of a block.
class StandIn {
 public:
  explicit StandIn(const std::string& directory) : before_(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    require(before_.valid() && ::chdir(directory.c_str()) == 0, "enter a directory");
  }
  ~StandIn() { require(::fchdir(before_.get()) == 0, "return"); }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

 private:
  Fd before_;
};

// As deep as a few links lead; what lies deeper is of the same making. Where the image's own modes keep us out (we may
// be nobody) there is nothing to be seen.
void check_below(const std::string& directory, int depth) {
  if (::access(directory.c_str(), R_OK | X_OK) != 0) return;
  for (const auto& entry : fs::directory_iterator(directory)) {
    struct stat st{};
    require(::lstat(entry.path().c_str(), &st) == 0, "look at an entry");
    require(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode), "a device, a pipe or a socket");
    require((st.st_mode & (S_ISUID | S_ISGID)) == 0, "setuid or setgid");
    require(!entry.path().filename().string().starts_with(".wh."), "a whiteout shows");
    if (S_ISDIR(st.st_mode) && depth < 20) check_below(entry.path(), depth + 1);
  }
}

}  // namespace

bool image_layers(std::string_view input) {
  static const Place place;
  if (input.empty()) return false;
  // The first byte says where the second layer begins, in blocks of an archive.
  const std::size_t cut =
      std::min<std::size_t>(static_cast<unsigned char>(input[0]) * std::size_t{512}, input.size() - 1);
  const std::string_view archive = input.substr(1);
  const std::string tree_path = place.top + "/tree";
  (void)remove_tree(tree_path);
  require(make_directory(tree_path, 0700).has_value(), "make the tree");
  auto layout = ImageLayout::open(place.top + "/layout");
  require(layout.has_value(), "open the layout");
  auto tree = ImageTree::open(tree_path, {.bytes = 1 << 20, .entries = 200}, ImageAttributes::drop);
  require(tree.has_value(), "open the tree");
  bool good = true;
  {
    const StandIn here(place.top + "/here");
    for (const std::string_view part : {archive.substr(0, cut), archive.substr(cut)}) {
      const ImageLayer layer = put(place, part);
      good = good && tree->add_layer(*layout, layer).has_value();
      (void)remove_tree(place.top + "/layout/blobs/sha256/" + std::string(digest_hex(layer.diff_id)));
    }
    if (good) good = tree->finish().has_value();
  }
  require(list_directory(place.top).value() == (std::vector<std::string>{"canary", "here", "layout", "tree"}),
          "left the tree");
  require(list_directory(place.top + "/here").value().empty(), "made something where we stand");
  require(read_file(place.top + "/canary").value() == "untouched", "changed what is outside");
  check_below(tree_path, 0);
  return good;
}

}  // namespace bulkhead::fuzz
