// From an image layout to a root file system.
#include <sys/resource.h>

#include "sandbox/base/text.h"
#include "supervisor/image/layout.h"
#include "supervisor/worker/image_tree.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

// What the answer can carry; the rest of it is short.
constexpr std::size_t kMostEnvironment = std::size_t{32} << 10;

// A variable with control characters could not be shown: it is left out, and who asks for it hears that it is not
// there.
Result<std::vector<std::string>> environment_of(const ImageManifest& image) {
  std::vector<std::string> out;
  std::size_t size = 0;
  for (const std::string& variable : image.environment) {
    const auto equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos || variable.size() > 4096) continue;
    if (printable(variable, variable.size()) != variable) continue;
    size += variable.size() + 4;
    if (size > kMostEnvironment || out.size() == 256)
      return fail("read image configuration", "/config/Env", "its environment is larger than 32 KiB");
    out.push_back(variable);
  }
  return out;
}

// ImageTree counts; this is what holds when it is no longer ours what counts: no file larger than the whole image may
// be, for good. (Our answer, beside it, is short.)
Result<> bound_files(std::uint64_t bytes) {
  const rlim_t most = bytes + max_worker_facts;
  const rlimit limit{.rlim_cur = most, .rlim_max = most};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return errno_error("set limit", "file size");
  return {};
}

}  // namespace

Result<SelectImageFacts> select_image(const SelectImageRequest& request) {
  BULKHEAD_ASSIGN(const ImageLayout layout, ImageLayout::open(request.layout));
  BULKHEAD_ASSIGN(const Descriptor manifest,
                  choose_manifest(layout, {.reference = request.reference,
                                           .digest = request.digest,
                                           .platform = {.os = "linux", .architecture = request.architecture}}));
  return SelectImageFacts{.digest = manifest.digest};
}

Result<UnpackImageFacts> unpack_image(const UnpackImageRequest& request) {
  BULKHEAD_TRY(bound_files(request.max_bytes));
  BULKHEAD_ASSIGN(const ImageLayout layout, ImageLayout::open(request.layout));
  BULKHEAD_ASSIGN(const ImageManifest image, read_manifest(layout, {.digest = request.digest},
                                                           {.os = "linux", .architecture = request.architecture}));
  UnpackImageFacts facts;
  BULKHEAD_ASSIGN(facts.environment, environment_of(image));
  BULKHEAD_ASSIGN(
      ImageTree tree,
      ImageTree::open(request.tree, {.bytes = request.max_bytes, .entries = request.max_entries}, request.attributes));
  for (const ImageLayer& layer : image.layers) BULKHEAD_TRY(tree.add_layer(layout, layer));
  BULKHEAD_TRY(tree.finish());
  facts.layers = image.layers.size();
  facts.bytes = tree.bytes();
  facts.entries = tree.entries();
  facts.left_out = tree.left_out();
  return facts;
}

}  // namespace bulkhead
