#include "supervisor/core/daemon/image_roots.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "sandbox/base/units.h"
#include "sandbox/launch/user_namespace.h"

namespace bulkhead {
namespace {

constexpr std::chrono::milliseconds kLookAgain{20};

// The range of a worker, for as long as one is needed. A launcher that is started anew meanwhile knows nothing of it,
// and may have given it to another.
class StoreRange {
 public:
  static Result<StoreRange> acquire(LauncherLink& launcher) {
    BULKHEAD_ASSIGN(const std::uint32_t base,
                    launcher.call([](LauncherClient& c) { return c.acquire_range(RangeUse::store); }));
    return StoreRange(launcher, base);
  }
  StoreRange(StoreRange&& other) noexcept
      : launcher_(std::exchange(other.launcher_, nullptr)), base_(other.base_), generation_(other.generation_) {}
  StoreRange& operator=(StoreRange&&) = delete;
  ~StoreRange() {
    if (launcher_ == nullptr || launcher_->generation() != generation_) return;
    if (const auto released = launcher_->call([&](LauncherClient& c) { return c.release_range(base_); }); !released)
      spdlog::warn("{}", released.error().text());
  }
  std::uint32_t base() const { return base_; }

 private:
  StoreRange(LauncherLink& launcher, std::uint32_t base)
      : launcher_(&launcher), base_(base), generation_(launcher.generation()) {}
  LauncherLink* launcher_;
  std::uint32_t base_;
  unsigned generation_;
};

WorkerJob image_job(const RunContext& run, std::uint32_t range, std::vector<MountSpec> mounts) {
  WorkerJob job = run.range_job(WorkerKind::image, "_image", range);
  job.mounts = std::move(mounts);
  return job;
}

Result<std::optional<UnpackedImage>> find_image(RunContext& run, const std::string& key) {
  return run.site.launcher.call([&](LauncherClient& c) { return c.find_image(run.site.paths.images(), key); });
}

// A half-made tree of this range. What cannot be removed stays for `bulkhead clean`.
boost::asio::awaitable<void> remove_half(RunContext& run, std::uint32_t range, std::string tree) {
  const auto emptied = co_await run.site.workers.run(image_job(run, range, image_removal_mounts(tree)),
                                                     RemoveTreeRequest{.directory = std::string(worker_place::to)});
  const auto gone = run.site.launcher.call([&](LauncherClient& c) { return c.discard_image(tree); });
  if (!emptied) spdlog::warn("{}: {}", run.run, emptied.error().text());
  if (emptied && !gone) spdlog::warn("{}: {}", run.run, gone.error().text());
}

Async<SelectImageFacts> select(RunContext& run, const ImageRoot& root) {
  BULKHEAD_CO_ASSIGN(const StoreRange range, StoreRange::acquire(run.site.launcher));
  co_return co_await run.site.workers.run(image_job(run, range.base(), image_worker_mounts(root, "")),
                                          select_request(root));
}

// Nothing: another run of ours, or a command with a launcher of its own, makes it or has just made it.
Async<std::optional<UnpackedImage>> make_image(RunContext& run, const ImageRoot& root, std::string digest) {
  const std::string store = run.site.paths.images(), key = image_key(root, digest);
  BULKHEAD_CO_ASSIGN(const StoreRange range, StoreRange::acquire(run.site.launcher));
  const auto begun = run.site.launcher.call(
      [&](LauncherClient& c) { return c.begin_image(store, key, range.base() + kInsideUserId); });
  if (!begun && (begun.error().code == EBUSY || begun.error().code == EEXIST)) co_return std::nullopt;
  if (!begun) co_return std::unexpected(begun.error());
  if (!begun->left.empty()) co_await remove_half(run, range.base(), begun->left);
  spdlog::info("{}: unpacking the image {}", run.run, root.text());
  const auto facts = co_await run.site.workers.run(image_job(run, range.base(), image_worker_mounts(root, begun->tree)),
                                                   unpack_request(root, digest));
  Error error;
  if (facts) {
    auto made = run.site.launcher.call(
        [&](LauncherClient& c) { return c.finish_image(store, key, worker_facts_json(*facts)); });
    if (made) {
      const std::string out = left_out_text(*facts);
      spdlog::info("{}: unpacked {} layers, {} files, {}{}{}", run.run, facts->layers, facts->entries,
                   format_bytes(facts->bytes), out.empty() ? "" : "; ", out);
      co_return *std::move(made);
    }
    error = made.error();
  } else {
    error = facts.error();
  }
  const auto half = run.site.launcher.call([&](LauncherClient& c) { return c.abandon_image(store, key); });
  if (!half) spdlog::warn("{}: {}", run.run, half.error().text());
  if (half && !half->empty()) co_await remove_half(run, range.base(), *half);
  if (facts && error.code == EBUSY) co_return std::nullopt;  // it was removed at once
  co_return std::unexpected(std::move(error));
}

Async<PreparedImage> prepare_image(RunContext& run, const ImageRoot& root) {
  std::string digest = root.digest;
  if (!digest.empty()) {
    BULKHEAD_CO_ASSIGN(const auto found, find_image(run, image_key(root, digest)));
    if (found) co_return accept_image(root, digest, *found);
  }
  // Also where it is pinned: the digest may be that of an index.
  BULKHEAD_CO_ASSIGN(const SelectImageFacts selected, co_await select(run, root));
  digest = selected.digest;
  bool told = false;
  while (true) {
    BULKHEAD_CO_ASSIGN(const auto found, find_image(run, image_key(root, digest)));
    if (found) co_return accept_image(root, digest, *found);
    BULKHEAD_CO_ASSIGN(const auto made, co_await make_image(run, root, digest));
    if (made) co_return accept_image(root, digest, *made);
    if (!std::exchange(told, true))
      spdlog::info("{}: another is unpacking the image {}; waiting", run.run, root.text());
    co_await pause_for(kLookAgain);
  }
}

}  // namespace

std::map<std::string, std::string> RunContext::environment_of(const std::string& task,
                                                              const std::map<std::string, std::string>& extra) const {
  std::map<std::string, std::string> all = compose_environment(specs.at(task), environment, {});
  if (const auto image = images.find(task); image != images.end()) all = with_image(std::move(all), image->second);
  for (const auto& [name, value] : extra) all[name] = value;
  return all;
}

void hold_images_again(RunContext& run) {
  for (const auto& [task, image] : run.images)
    if (const auto found = find_image(run, image.key); !found || !*found)
      spdlog::error("{}: the image of task {} is gone: {}", run.run, task, found ? "removed" : found.error().text());
}

Async<> prepare_images(RunContext& run) {
  for (const auto& [task, spec] : run.specs) {
    if (!spec.root_image()) continue;
    auto image = co_await prepare_image(run, *spec.root_image());
    if (!image) {
      image.error() = of_layout(std::move(image.error()), *spec.root_image());
      image.error().operation = "task " + task + ": " + image.error().operation;
      co_return std::unexpected(image.error());
    }
    run.images.emplace(task, *std::move(image));
  }
  co_return Result<>{};
}

}  // namespace bulkhead
