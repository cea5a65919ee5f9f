// evpool, the command: sends jobs to a server and prints the replies.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "client/client.h"
#include "client/command_options.h"
#include "client/commands.h"

int main(int argc, char** argv) {
  using evpool::Exit;
  evpool::CommandOptions options;
  if (const auto exit = evpool::parse_command_line(argc, argv, options)) {
    return static_cast<int>(*exit);
  }
  Exit exit = Exit::ok;
  try {
    exit = evpool::run_command(options);
  } catch (const evpool::ConnectError& error) {
    fmt::print(stderr, "evpool: {}\n", error.what());
    exit = Exit::cannot_connect;
  } catch (const std::exception& error) {
    fmt::print(stderr, "evpool: {}\n", error.what());
    exit = Exit::input;
  }
  return static_cast<int>(exit);
}
