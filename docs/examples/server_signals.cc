// A job server as a program of its own: SIGTERM drains it. Here the program sends itself the
// signal.
#include <evpool/client/client.h>
#include <evpool/server/run_until_signalled.h>

#include <csignal>
#include <cstdio>
#include <thread>

int main() {
  evpool::Handlers handlers;
  handlers.add("greet", "greets", [](evpool::Request& request) {
    return evpool::Reply::ok("hello " + request.payload);
  });
  evpool::Server server({.tcp = {{"127.0.0.1", 0}}, .default_job = "greet"}, std::move(handlers));

  std::thread client([&server] {
    const evpool::CallResult result =
        evpool::Client(server.listening().front().address).call("greet", "world");
    std::printf("%s\n", result.payload.c_str());
    std::raise(SIGTERM);
  });
  const evpool::DrainReport report = evpool::run_until_signalled(server);
  client.join();
  return report.statistics.completed == 1 && report.still_running == 0 ? 0 : 1;
}
