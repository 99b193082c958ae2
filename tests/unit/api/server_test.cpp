// The server and the client against one another over a real socket in a temporary directory; no root needed, since the
// uid that is served is an argument.
#include "supervisor/core/api/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "supervisor/core/api/client.h"
#include "supervisor/core/api/socket_address.h"

namespace bulkhead {
namespace {

struct Recorder : ControlHandler {
  void on_request(const std::shared_ptr<ControlConnection>& connection, Request request, std::vector<Fd> fds) override {
    requests.push_back(std::move(request));
    descriptors = std::move(fds);
    if (answer) answer(connection);
    last = connection;
  }
  void on_closed(const std::shared_ptr<ControlConnection>&) override { ++closed; }

  std::vector<Request> requests;
  std::vector<Fd> descriptors;
  std::function<void(const std::shared_ptr<ControlConnection>&)> answer;
  std::shared_ptr<ControlConnection> last;
  int closed = 0;
};

class ControlServerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bulkhead-api-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory = name;
  }
  void TearDown() override {
    server.reset();
    std::filesystem::remove_all(directory);
  }
  void serve(const std::string& at, uid_t uid = ::getuid()) {
    path = at;
    auto made = ControlServer::listen(io, path, handler, uid);
    ASSERT_TRUE(made) << made.error().text();
    server = *std::move(made);
  }
  // Everything that is ready now, and what follows from it.
  void settle() {
    io.restart();
    while (io.poll() != 0) {
    }
  }

  std::string directory, path;
  boost::asio::io_context io;
  Recorder handler;
  std::unique_ptr<ControlServer> server;
};

TEST_F(ControlServerTest, AnswersARequest) {
  serve(directory + "/control.sock");
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  handler.answer = [](const auto& connection) {
    EXPECT_EQ(connection->peer().uid, ::getuid());
    EXPECT_EQ(connection->peer().pid, ::getpid());
    connection->send(AcceptedReply{"r"});
    connection->send(FinishedReply{"r", "done", 0});
    connection->close();
    connection->send(AcceptedReply{"never sent"});
  };
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client) << client.error().text();
  EXPECT_EQ(client->poll().value(), std::nullopt);
  ASSERT_TRUE(client->send(CancelRequest{"r"}));
  settle();
  ASSERT_EQ(handler.requests.size(), 1u);
  EXPECT_EQ(handler.requests[0], Request(CancelRequest{"r"}));
  EXPECT_EQ(client->receive().value(), Reply(AcceptedReply{"r"}));
  EXPECT_EQ(client->receive().value(), Reply(FinishedReply{"r", "done", 0}));
  EXPECT_EQ(client->receive().error().code, ECONNRESET);
  EXPECT_EQ(handler.closed, 0) << "the server closed it itself";
}

TEST_F(ControlServerTest, ReachesAPathLongerThanASocketAddress) {
  std::string deep = directory + "/" + std::string(120, 'd');
  ASSERT_EQ(::mkdir(deep.c_str(), 0700), 0);
  serve(deep + "/control.sock");
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client) << client.error().text();
}

TEST_F(ControlServerTest, DescriptorsArriveWithShellOnly) {
  serve(directory + "/control.sock");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd reading(ends[0]), writing(ends[1]);
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client);
  const int fds[] = {reading.get(), writing.get(), writing.get()};
  ShellRequest shell{.run = "r", .agent = "a", .argv = {}, .terminal = TerminalSize{}, .term = "vt100"};
  ASSERT_TRUE(client->send(shell, fds));
  settle();
  ASSERT_EQ(handler.requests.size(), 1u);
  ASSERT_EQ(handler.descriptors.size(), 3u);
  ASSERT_EQ(::write(handler.descriptors[1].get(), "x", 1), 1);
  char c = 0;
  EXPECT_EQ(::read(reading.get(), &c, 1), 1);
  EXPECT_EQ(::fcntl(handler.descriptors[0].get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);

  auto second = ControlClient::connect(path);
  ASSERT_TRUE(second);
  ASSERT_TRUE(second->send(StatusRequest{}, std::span(fds).first(1)));
  settle();
  EXPECT_EQ(handler.requests.size(), 1u);
  auto reply = second->receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<ErrorReply>(*reply).text, "read message: it came with 1 descriptors instead of 0");
}

TEST_F(ControlServerTest, AnswersWhatDoesNotParseAndHangsUp) {
  serve(directory + "/control.sock");
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client);
  const std::string nonsense = "GET / HTTP/1.1\nHost: x\n";
  ASSERT_EQ(::send(client->socket().get(), nonsense.data(), nonsense.size(), 0), static_cast<ssize_t>(nonsense.size()));
  settle();
  EXPECT_TRUE(handler.requests.empty());
  auto reply = client->receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<ErrorReply>(*reply).text, "read message: it is not JSON: GET / HTTP/1.1");
  EXPECT_EQ(std::get<ErrorReply>(*reply).exit_code, 2);
  EXPECT_FALSE(client->receive());
  EXPECT_EQ(handler.closed, 1);
}

TEST_F(ControlServerTest, HangsUpOnALineWithoutEnd) {
  serve(directory + "/control.sock");
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client);
  const std::string chunk(64 * 1024, 'x');
  for (std::size_t sent = 0; sent <= kMaxLine; sent += chunk.size()) {
    if (::send(client->socket().get(), chunk.data(), chunk.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
    settle();
  }
  settle();
  auto reply = client->receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<ErrorReply>(*reply).text, "read message: it is longer than 1 MiB");
  EXPECT_TRUE(handler.requests.empty());
}

TEST_F(ControlServerTest, RefusesOtherUsers) {
  serve(directory + "/control.sock", ::getuid() + 1);
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client);
  settle();
  auto reply = client->receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<ErrorReply>(*reply).exit_code, 3);
  EXPECT_EQ(std::get<ErrorReply>(*reply).text,
            "bulkheadd serves uid " + std::to_string(::getuid() + 1) + " only, not uid " + std::to_string(::getuid()));
  EXPECT_TRUE(handler.requests.empty());
}

TEST_F(ControlServerTest, DropsAClientThatDoesNotRead) {
  serve(directory + "/control.sock");
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send(SubscribeRequest{"r"}));
  settle();
  ASSERT_NE(handler.last, nullptr);
  const EventReply event{{{"text", std::string(4000, 'e')}}};
  for (std::size_t sent = 0; handler.last->is_open() && sent < 4 * kMaxUnsent; sent += 4000) {
    handler.last->send(event);
    settle();
  }
  EXPECT_FALSE(handler.last->is_open());
  EXPECT_EQ(handler.closed, 1);
}

TEST_F(ControlServerTest, TellsWhenAClientIsGone) {
  serve(directory + "/control.sock");
  {
    auto client = ControlClient::connect(path);
    ASSERT_TRUE(client);
    ASSERT_TRUE(client->send(SubscribeRequest{"r"}));
    settle();
  }
  settle();
  EXPECT_EQ(handler.closed, 1);
  EXPECT_FALSE(handler.last->is_open());
  handler.last->send(AcceptedReply{"r"});  // does nothing
}

TEST_F(ControlServerTest, StopRemovesTheSocketAndLetsRepliesOut) {
  serve(directory + "/control.sock");
  auto client = ControlClient::connect(path);
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->send(SubscribeRequest{"r"}));
  settle();
  handler.last->send(FinishedReply{"r", "done", 0});
  server->stop();
  settle();
  EXPECT_EQ(client->receive().value(), Reply(FinishedReply{"r", "done", 0}));
  EXPECT_FALSE(client->receive());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(ControlClient::connect(path).error().code, ENOENT);
}

TEST_F(ControlServerTest, ReplacesAStaleSocketButNothingElse) {
  path = directory + "/control.sock";
  {
    Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = SocketAddress::of(path);
    ASSERT_EQ(::bind(dead.get(), address->address(), address->size()), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  serve(path);
  ASSERT_TRUE(ControlClient::connect(path));
  server.reset();
  Fd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.valid());
  auto made = ControlServer::listen(io, path, handler, ::getuid());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().text(), "listen at " + path + ": something that is not a socket is there");
}

}  // namespace
}  // namespace bulkhead
