// evpool, the command: sends jobs to a server and prints the replies.
#include <exception>

#include "client/client.h"
#include "client/command_options.h"
#include "client/commands.h"
#include "console/diagnostic.h"
#include "console/standard_streams.h"

namespace {

using evpool::Exit;

Exit run(int argc, char** argv) {
  try {
    evpool::CommandOptions options;
    if (const auto exit = evpool::parse_command_line(argc, argv, options)) return *exit;
    return evpool::run_command(options);
  } catch (const evpool::ConnectError& error) {
    evpool::complain("evpool", error.what());
    return Exit::cannot_connect;
  } catch (const std::exception& error) {
    evpool::complain("evpool", error.what());
    return Exit::input;
  }
}

}  // namespace

int main(int argc, char** argv) {
  evpool::open_standard_streams(evpool::ClosedOutput::is_an_error);
  Exit exit = run(argc, argv);
  if (const auto failure = evpool::flush_standard_output()) {
    evpool::complain("evpool", "cannot write to standard output: " + *failure);
    if (exit == Exit::ok) exit = Exit::input;
  }
  return static_cast<int>(exit);
}
