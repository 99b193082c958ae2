#include "supervisor/core/daemon/image_roots.h"

#include <spdlog/spdlog.h>

#include "sandbox/launch/user_namespace.h"

namespace bulkhead {
namespace {

constexpr std::chrono::milliseconds kLookAgain{20};

WorkerJob image_job(const RunContext& run, const ImageRoot& root, std::uint32_t range, const std::string& tree) {
  WorkerJob job = run.range_job(WorkerKind::image, "_image", range);
  job.mounts = image_worker_mounts(root, tree);
  return job;
}

Result<std::optional<UnpackedImage>> find_image(RunContext& run, const std::string& key) {
  return run.site.launcher.call([&](LauncherClient& c) { return c.find_image(run.site.paths.images(), key); });
}

// Into `tree`, which the launcher has made for it.
Async<UnpackedImage> unpack(RunContext& run, const ImageRoot& root, std::string digest, std::uint32_t range,
                            std::string tree) {
  const std::string key = image_key(root, digest);
  spdlog::info("{}: unpacking the image {}", run.run, root.text());
  const auto facts = co_await run.site.workers.run(image_job(run, root, range, tree), unpack_request(root, digest));
  const std::string store = run.site.paths.images();
  if (facts)
    co_return run.site.launcher.call(
        [&](LauncherClient& c) { return c.finish_image(store, key, worker_facts_json(*facts)); });
  if (auto gone = run.site.launcher.call([&](LauncherClient& c) { return c.abandon_image(store, key); }); !gone)
    spdlog::warn("{}: {}", run.run, gone.error().text());
  co_return std::unexpected(facts.error());
}

Async<PreparedImage> prepare_image(RunContext& run, const ImageRoot& root, std::uint32_t range) {
  std::string digest = root.digest;
  if (!digest.empty()) {
    BULKHEAD_CO_ASSIGN(const auto found, find_image(run, image_key(root, digest)));
    if (found) co_return accept_image(root, digest, *found);
  }
  // Also where it is pinned: the digest may be that of an index.
  BULKHEAD_CO_ASSIGN(const SelectImageFacts selected,
                     co_await run.site.workers.run(image_job(run, root, range, ""), select_request(root)));
  digest = selected.digest;
  const std::string key = image_key(root, digest);
  while (true) {
    // Another run of ours, or a command with a launcher of its own, may be unpacking it just now.
    while (run.site.images_in_the_making.contains(key)) co_await pause_for(kLookAgain);
    BULKHEAD_CO_ASSIGN(const auto found, find_image(run, key));
    if (found) co_return accept_image(root, digest, *found);
    const auto tree = run.site.launcher.call(
        [&](LauncherClient& c) { return c.begin_image(run.site.paths.images(), key, range + kInsideUserId); });
    if (tree) {
      run.site.images_in_the_making.insert(key);
      const auto made = co_await unpack(run, root, digest, range, *tree);
      run.site.images_in_the_making.erase(key);
      if (!made) co_return std::unexpected(made.error());
      co_return accept_image(root, digest, *made);
    }
    if (tree.error().code != EBUSY && tree.error().code != EEXIST) co_return std::unexpected(tree.error());
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
    BULKHEAD_CO_ASSIGN(const std::uint32_t range,
                       run.site.launcher.call([](LauncherClient& c) { return c.acquire_range(RangeUse::store); }));
    auto image = co_await prepare_image(run, *spec.root_image(), range);
    (void)run.site.launcher.call([&](LauncherClient& c) { return c.release_range(range); });
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
