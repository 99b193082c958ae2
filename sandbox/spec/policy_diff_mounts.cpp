// Paths: what each of two policies shows at every place where either mounts something.
#include "sandbox/base/units.h"
#include "sandbox/spec/policy_diff_parts.h"

namespace bulkhead {
namespace {

// What a policy shows at a path.
struct View {
  enum Kind { nothing, host, image, own } kind = nothing;  // own: a tmpfs
  std::string source;                                      // of host: the path there; of image: which
  bool writable = false;
  bool executable = false;
  std::uint64_t size_bytes = 0;  // of own
};

std::string below(const std::string& top, std::string rest) {
  if (rest == "/") rest.clear();
  return top == "/" ? (rest.empty() ? "/" : rest) : top + rest;
}

View view_at(const SandboxSpec& spec, const SandboxPath& path) {
  View view;
  if (!spec.root_directory().empty())
    view = {.kind = View::host,
            .source = below(spec.root_directory(), path.str()),
            .writable = false,
            .executable = true,
            .size_bytes = 0};
  if (const auto& root = spec.root_image())
    view = {.kind = View::image, .source = root->text(), .writable = false, .executable = true, .size_bytes = 0};
  std::size_t longest = 0;
  for (const MountSpec& mount : spec.mounts()) {
    if (path != mount.target && !path.is_below(mount.target)) continue;
    if (mount.target.str().size() < longest) continue;
    longest = mount.target.str().size();
    const bool tmpfs = mount.type == MountType::tmpfs;
    view = {.kind = tmpfs ? View::own : View::host,
            .source = tmpfs ? "" : below(mount.source, path.str().substr(mount.target.str().size())),
            .writable = tmpfs || mount.access == MountAccess::read_write,
            .executable = mount.executable,
            .size_bytes = mount.size_bytes};
  }
  return view;
}

std::string named(const std::string& path, const View& view) {
  if (view.kind == View::image) return path + " of the image " + view.source;
  return view.kind == View::host && view.source != path ? path + " (" + view.source + " of the host)" : path;
}

}  // namespace

void more_paths(const SandboxSpec& from, const SandboxSpec& to, std::vector<PolicyChange>& more) {
  std::set<SandboxPath> places;
  for (const SandboxSpec* spec : {&from, &to})
    if (!spec->root_directory().empty() || spec->root_image()) places.insert(SandboxPath());
  for (const SandboxSpec* spec : {&from, &to})
    for (const MountSpec& mount : spec->mounts()) places.insert(mount.target);
  for (const SandboxPath& place : places) {
    const View a = view_at(from, place), b = view_at(to, place);
    if (b.kind == View::nothing) continue;
    // Another image is said once; of the same one, what was hidden.
    if (b.kind == View::image && !place.is_root() && view_at(from, SandboxPath()).source != b.source) continue;
    const std::string name = named(place.str(), b);
    const bool same = a.kind == b.kind && a.source == b.source;
    const auto add = [&](std::string text) { more.push_back({"mounts", std::move(text)}); };
    if (b.kind == View::own) {
      if (!same)
        add("write to " + place.str() + ", a tmpfs of up to " + format_bytes(b.size_bytes));
      else if (b.size_bytes > a.size_bytes)
        add("write more to the tmpfs " + place.str() + ": " + format_bytes(b.size_bytes) + " instead of " +
            format_bytes(a.size_bytes));
    } else {
      if (!same) add("read " + name);
      if (b.writable && !(same && a.writable)) add("write to " + name + ", on the host");
    }
    if (b.writable && b.executable && !(same && a.writable && a.executable))
      add("run programs from " + name + ", which can be written");
    else if (b.executable && same && !a.executable)
      add("run programs from " + name);
  }
}

}  // namespace bulkhead
