// A job server of one's own inside a program, and a call to it.
#include <evpool/client/client.h>
#include <evpool/server/server.h>

#include <cstdio>
#include <thread>

int main() {
  evpool::Handlers handlers;
  handlers.add("reverse", "the payload backwards", [](evpool::Request& request) {
    return evpool::Reply::ok({request.payload.rbegin(), request.payload.rend()});
  });
  evpool::Server server({.tcp = {{"127.0.0.1", 0}}, .default_job = "reverse"}, std::move(handlers));
  std::thread loop([&server] { server.run(); });

  evpool::Client client(server.listening().front().address);
  const evpool::CallResult result = client.call("reverse", "desserts");
  std::printf("%s\n", result.payload.c_str());

  server.drain();
  loop.join();
  return result.ok() && result.payload == "stressed" ? 0 : 1;
}
