// Many requests in flight on one connection, and the ways a call can end.
#include <evpool/client/client.h>
#include <evpool/server/builtin_jobs.h>
#include <evpool/server/server.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

int main() {
  // A server to talk to; usually that is evpoold, somewhere else.
  evpool::Handlers handlers;
  evpool::add_builtin_jobs(handlers);
  evpool::Server server({.tcp = {{"127.0.0.1", 0}}}, std::move(handlers));
  std::thread loop([&server] { server.run(); });
  int wrong = 0;
  {
    evpool::Client client(server.listening().front().address);
    std::vector<evpool::Client::RequestId> requests;
    for (int i = 0; i < 100; ++i)
      requests.push_back(client.send("upper", "job " + std::to_string(i)));
    for (int i = 0; i < 100; ++i) {
      const evpool::CallResult result = client.wait(requests[static_cast<std::size_t>(i)]);
      if (!result.ok() || result.payload != "JOB " + std::to_string(i)) ++wrong;
    }

    const evpool::CallResult late =
        client.call("sleep", "10000", {.timeout = std::chrono::milliseconds(20)});
    switch (late.state) {
      case evpool::CallState::replied:
        ++wrong;
        break;
      case evpool::CallState::timed_out:
        std::printf("%s\n", late.payload.c_str());
        break;
      case evpool::CallState::connection_lost:
        ++wrong;
        break;
      case evpool::CallState::protocol_error:
        ++wrong;
        break;
    }
    const evpool::CallResult failed = client.call("fail", "no luck");
    std::printf("%s: %s\n", name_of(failed.status).data(), failed.payload.c_str());
  }
  server.drain();
  loop.join();
  return wrong;
}
