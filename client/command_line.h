// What evpool and evpool-bench share in reading their command lines, on top of CLI11.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "protocol/suggestion.h"

namespace evpool {

// An option whose text `parse` takes, or refuses with std::invalid_argument.
template <typename Parse>
CLI::Option* add_parsed_option(CLI::App& app, const std::string& flag, Parse parse,
                               const std::string& description) {
  return app.add_option_function<std::string>(
      flag,
      [flag, parse](const std::string& text) {
        try {
          parse(text);
        } catch (const std::invalid_argument& error) {
          throw CLI::ValidationError(flag, error.what());
        }
      },
      description);
}

// Says on standard error what was wrong with the command line, and what may have been meant.
inline void explain_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) known.push_back(option->get_name());
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    known.push_back(command->get_name());
    for (const CLI::Option* option : command->get_options()) known.push_back(option->get_name());
  }
  std::string what = error.what();
  for (const std::string& extra : app.remaining(true)) {
    if (!extra.starts_with('-')) continue;
    what = fmt::format("unknown option '{}'{}", extra, suggest(extra, known));
    break;
  }
  fmt::print(stderr, "{0}: {1}\nTry '{0} --help'.\n", app.get_name(), what);
}

}  // namespace evpool
