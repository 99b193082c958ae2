// The launcher's client against answers as a launcher might give them. Needs no privilege.
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "sandbox/launch/launcher_client.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

using nlohmann::json;

TEST(LauncherClientTest, AnErrorThatWasMeantForAnEarlierCallIsNotTaken) {
  std::string directory = "/tmp/bulkhead-test-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const auto listener = listen_seqpacket(directory + "/launcher.sock");
  ASSERT_TRUE(listener) << listener.error().text();
  auto client = LauncherClient::connect(directory + "/launcher.sock");
  ASSERT_TRUE(client) << client.error().text();
  const Channel launcher{Fd(::accept(listener->get(), nullptr, nullptr))};
  const auto say = [&](const json& answer) {
    const auto bytes = json::to_cbor(answer);
    ASSERT_TRUE(launcher.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  };
  const json error = {{"operation", "kill"}, {"object", "a"}, {"code", 3}, {"detail", ""}, {"hint", ""}, {"step", ""}};
  // The first call is answered with the answer to one before it, and then with its own; so is the second.
  say({{"serial", 0}, {"error", error}});
  say({{"serial", 1}, {"ok", 65536}});
  say({{"serial", 1}, {"ok", 65536}});
  say({{"serial", 2}, {"error", error}});
  const auto range = client->acquire_range();
  ASSERT_TRUE(range) << range.error().text();
  EXPECT_EQ(*range, 65536u);
  const auto killed = client->kill("a", EndReason::idle);
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().code, 3);
  EXPECT_TRUE(remove_tree(directory));
}

}  // namespace
}  // namespace bulkhead
