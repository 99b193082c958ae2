#include "supervisor/core/images/images.h"

#include <sys/utsname.h>

#include "sandbox/base/units.h"
#include "supervisor/image/digest.h"
#include "supervisor/image/layout.h"

namespace bulkhead {
namespace {

std::string inside(std::string_view place) { return std::string(place); }

MountSpec ours(std::string_view target, const std::string& source, MountAccess access) {
  MountSpec mount;
  mount.target = *SandboxPath::parse(target);
  mount.source = source;
  mount.access = access;
  mount.executable = false;
  mount.origin = "supervisor";
  return mount;
}

bool matches(const std::string& pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

}  // namespace

std::string host_architecture() {
  utsname names{};
  ::uname(&names);  // fails for a bad pointer only
  return platform_of(names.machine).architecture;
}

std::string image_key(const ImageRoot& root, const std::string& digest) {
  return std::string(digest_hex(digest)) + (root.keep_user_attributes ? "-x" : "");
}

SelectImageRequest select_request(const ImageRoot& root) {
  return {.layout = inside(worker_place::in),
          .reference = root.reference,
          .digest = root.digest,
          .architecture = host_architecture()};
}

UnpackImageRequest unpack_request(const ImageRoot& root, const std::string& digest) {
  return {.layout = inside(worker_place::in),
          .digest = digest,
          .architecture = host_architecture(),
          .tree = inside(worker_place::tree),
          .attributes = root.keep_user_attributes ? ImageAttributes::user : ImageAttributes::drop,
          .max_bytes = root.bytes,
          .max_entries = root.entries};
}

std::vector<MountSpec> image_worker_mounts(const ImageRoot& root, const std::string& tree) {
  std::vector<MountSpec> mounts{ours(worker_place::in, root.layout, MountAccess::read_only)};
  if (!tree.empty()) mounts.push_back(ours(worker_place::tree, tree, MountAccess::read_write));
  return mounts;
}

std::vector<MountSpec> image_removal_mounts(const std::string& tree) {
  return {ours(worker_place::to, tree, MountAccess::read_write)};
}

std::string left_out_text(const UnpackImageFacts& facts) {
  if (facts.left_out == 0) return "";
  if (facts.left_out == 1) return "1 device node, pipe or socket of the image was left out";
  return std::to_string(facts.left_out) + " device nodes, pipes or sockets of the image were left out";
}

Error of_layout(Error error, const ImageRoot& root) {
  const std::string_view place = worker_place::in;
  for (std::string* text : {&error.object, &error.detail, &error.hint}) {
    for (std::size_t at = text->find(place); at != std::string::npos; at = text->find(place, at)) {
      const std::size_t end = at + place.size();
      const bool whole = (at == 0 || (*text)[at - 1] == ' ') && (end == text->size() || (*text)[end] == '/');
      if (whole) text->replace(at, place.size(), root.layout);
      at += whole ? root.layout.size() : place.size();
    }
  }
  return error;
}

Result<PreparedImage> accept_image(const ImageRoot& root, const std::string& digest, const UnpackedImage& image) {
  BULKHEAD_ASSIGN(const UnpackImageFacts facts, parse_worker_facts<UnpackImageFacts>(image.facts));
  if (facts.bytes > root.bytes)
    return fail("use image", root.text(),
                "it has " + format_bytes(facts.bytes) + ", the policy takes " + format_bytes(root.bytes),
                "if that is right, raise the bound in the policy's root with 'size'");
  if (facts.entries > root.entries)
    return fail("use image", root.text(),
                "it has " + std::to_string(facts.entries) + " files, the policy takes " + std::to_string(root.entries),
                "if that is right, raise the bound in the policy's root with 'inodes'");
  PreparedImage prepared{.tree = image.tree, .digest = digest, .key = image_key(root, digest), .environment = {}};
  for (const std::string& pattern : root.environment) {
    bool found = pattern.ends_with('*');  // of those there may be none
    for (const std::string& variable : facts.environment) {
      const auto equals = variable.find('=');
      if (!matches(pattern, std::string_view(variable).substr(0, equals))) continue;
      prepared.environment[variable.substr(0, equals)] = variable.substr(equals + 1);
      found = true;
    }
    if (!found)
      return fail("use image", root.text(), "its configuration has no variable '" + pattern + "' that can be taken",
                  "remove it from the policy's root, or set it with environment.set");
  }
  return prepared;
}

std::map<std::string, std::string> with_image(std::map<std::string, std::string> environment,
                                              const PreparedImage& image) {
  for (const auto& [name, value] : image.environment) environment[name] = value;
  return environment;
}

}  // namespace bulkhead
