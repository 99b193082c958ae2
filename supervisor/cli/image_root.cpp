#include "supervisor/cli/image_root.h"

#include <poll.h>

#include "sandbox/base/text.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/policies.h"
#include "supervisor/core/workers/worker_sandbox.h"
#include "supervisor/image/layout.h"

namespace bulkhead {
namespace {

constexpr int kLookAgain = 20;  // milliseconds

class ImageMaker {
 public:
  ImageMaker(const Context& context, LauncherClient& launcher, const HostFacts& host, const ImageRoot& root)
      : context_(context), launcher_(launcher), host_(host), root_(root), store_(context.state.images()) {}

  // The range goes back when it is needed no more: of a store's there are few on a host, and the command may run on.
  Outcome<PreparedImage> make() {
    auto image = find_or_make();
    if (range_)
      if (auto released = launcher_.release_range(*range_); !released) tell(released.error());
    return image;
  }

 private:
  Outcome<PreparedImage> find_or_make() {
    std::string digest = root_.digest;
    if (!digest.empty()) {
      auto found = find(digest);
      if (!found || *found) return accepted(digest, std::move(found));
    }
    // Also where it is pinned: the digest may be that of an index.
    auto selected = run(select_request(root_), "image-select", image_worker_mounts(root_, ""));
    if (!selected) return std::unexpected(selected.error());
    digest = selected->digest;
    bool told = false;
    while (true) {
      auto found = find(digest);
      if (!found || *found) return accepted(digest, std::move(found));
      auto begun = launcher_.begin_image(store_, key(digest), *range_ + kInsideUserId);
      if (begun) {
        auto made = unpack(digest, *begun);
        if (!made) return std::unexpected(made.error());
        if (*made) return accepted(digest, std::move(made));
        continue;
      }
      if (begun.error().code != EBUSY && begun.error().code != EEXIST)
        return failure(ExitCode::host_lacks, begun.error());
      if (!told && begun.error().code == EBUSY) err_line("bulkhead: another command is unpacking this image; waiting");
      told = told || begun.error().code == EBUSY;
      ::poll(nullptr, 0, kLookAgain);
    }
  }

  std::string key(const std::string& digest) const { return image_key(root_, digest); }

  Outcome<std::optional<UnpackedImage>> find(const std::string& digest) {
    return or_exit(ExitCode::host_lacks, launcher_.find_image(store_, key(digest)));
  }

  Outcome<PreparedImage> accepted(const std::string& digest, Outcome<std::optional<UnpackedImage>> image) {
    if (!image) return std::unexpected(image.error());
    return or_exit(ExitCode::bad_input, accept_image(root_, digest, **image));
  }

  // Nothing: it was removed as soon as it was there.
  Outcome<std::optional<UnpackedImage>> unpack(const std::string& digest, const BegunImage& begun) {
    if (!begun.left.empty()) remove_half(begun.left);
    err_line("bulkhead: unpacking the image " + printable(root_.text()) + ", once");
    const auto facts = run(unpack_request(root_, digest), "image-unpack", image_worker_mounts(root_, begun.tree));
    std::optional<Failure> failed;
    if (facts) {
      auto made = launcher_.finish_image(store_, key(digest), worker_facts_json(*facts));
      if (const std::string out = left_out_text(*facts); made && !out.empty()) err_line("bulkhead: " + out);
      if (made) return *std::move(made);
      if (made.error().code != EBUSY) failed = Failure{made.error(), static_cast<int>(ExitCode::host_lacks)};
    } else {
      failed = facts.error();
    }
    const auto half = launcher_.abandon_image(store_, key(digest));
    if (!half) tell(half.error());
    if (half && !half->empty()) remove_half(*half);
    if (failed) return std::unexpected(*std::move(failed));
    return std::nullopt;
  }

  // What cannot be removed stays for `bulkhead clean`.
  void remove_half(const std::string& tree) {
    const auto emptied =
        run(RemoveTreeRequest{.directory = std::string(worker_place::to)}, "image-remove", image_removal_mounts(tree));
    const auto gone = launcher_.discard_image(tree);
    if (!emptied) tell(emptied.error().error);
    if (emptied && !gone) tell(gone.error());
  }

  static void tell(const Error& error) { err_line("bulkhead: " + printable(error.text())); }

  // One worker, from its start to its answer.
  template <class Request>
  Outcome<typename Request::Facts> run(const Request& request, const std::string& id, std::vector<MountSpec> mounts) {
    if (!policy_) {
      auto policy = read_policy("image-worker");
      if (!policy) return std::unexpected(policy.error());
      auto range = or_exit(ExitCode::host_lacks, launcher_.acquire_range(RangeUse::store));
      if (!range) return std::unexpected(range.error());
      policy_ = std::move(policy->spec);
      range_ = *range;
    }
    auto answer = or_exit(ExitCode::host_lacks, execute(worker_argv(request), id, std::move(mounts)));
    if (!answer) return std::unexpected(answer.error());
    auto facts = parse_worker_facts<typename Request::Facts>(*answer);
    if (!facts) return failure(ExitCode::bad_input, of_layout(std::move(facts).error(), root_));
    return *std::move(facts);
  }

  Result<std::string> execute(std::vector<std::string> argv, const std::string& id, std::vector<MountSpec> mounts) {
    Placement place{.cgroup = id, .range_base = *range_};
    place.mounts = std::move(mounts);
    BULKHEAD_ASSIGN(LaunchPlan plan, worker_plan(*policy_, std::move(place), context_.beside("bulkhead-worker"),
                                                 std::move(argv), host_));
    BULKHEAD_ASSIGN(const WorkerOutput output, WorkerOutput::make());
    BULKHEAD_TRY(launcher_.launch({.id = id,
                                   .plan = std::move(plan),
                                   .stdout_fd = output.out.get(),
                                   .stderr_fd = output.err.get(),
                                   .capture_output = true}));
    ExitRecord record;
    do {
      BULKHEAD_ASSIGN(record, launcher_.next_exit());
    } while (record.id != id);
    BULKHEAD_TRY(launcher_.acknowledge(id));
    return worker_answer(record, output, "unpack image", root_.text());
  }

  const Context& context_;
  LauncherClient& launcher_;
  const HostFacts& host_;
  const ImageRoot& root_;
  std::string store_;
  std::optional<SandboxSpec> policy_;
  std::optional<std::uint32_t> range_;
};

}  // namespace

Outcome<PreparedImage> prepare_image(const Context& context, LauncherClient& launcher, const HostFacts& host,
                                     const ImageRoot& root) {
  return ImageMaker(context, launcher, host, root).make();
}

Outcome<PreparedImage> planned_image(const Context& context, const ImageRoot& root) {
  const auto look = [&]() -> Result<PreparedImage> {
    const ImagePlatform platform{.os = "linux", .architecture = host_architecture()};
    BULKHEAD_ASSIGN(const ImageLayout layout, ImageLayout::open(root.layout));
    BULKHEAD_ASSIGN(
        const Descriptor manifest,
        choose_manifest(layout, {.reference = root.reference, .digest = root.digest, .platform = platform}));
    BULKHEAD_ASSIGN(const ImageManifest image, read_manifest(layout, manifest, platform));
    UnpackImageFacts facts;
    facts.environment = image.environment;
    return accept_image(root, manifest.digest,
                        {.tree = context.state.images() + "/" + image_key(root, manifest.digest) + "/tree",
                         .facts = worker_facts_json(facts)});
  };
  return or_exit(ExitCode::bad_input, look());
}

}  // namespace bulkhead
