// What evpool and evpool-bench share in reading their command lines, on top of CLI11.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "console/diagnostic.h"
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

inline std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// "unknown option '--sice' (did you mean '--size'?)", of those that `app` itself has; empty when it
// knew all it was given.
inline std::string unknown_option(const CLI::App& app) {
  for (const std::string& extra : app.remaining()) {
    if (!extra.starts_with('-')) continue;
    for (const CLI::App* command : app.get_subcommands()) {
      const std::vector<std::string> theirs = long_options(*command);
      if (std::find(theirs.begin(), theirs.end(), extra) == theirs.end()) continue;
      return fmt::format("'{}' is an option of '{}': give it after that", extra,
                         command->get_name());
    }
    return fmt::format("unknown option '{}'{}", extra, suggest(extra, long_options(app)));
  }
  return {};
}

// The same of a word in place of a command.
inline std::string unknown_command(const CLI::App& app) {
  const std::vector<std::string> extras = app.remaining();
  if (!app.get_subcommands().empty() || extras.empty() || extras[0].starts_with('-')) return {};
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  if (names.empty()) return {};
  return fmt::format("unknown command '{}'{}", extras[0], suggest(extras[0], names));
}

// Says on standard error what was wrong with the command line, and what may have been meant.
inline void explain_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::string what = unknown_command(app);
  if (what.empty()) what = unknown_option(app);
  for (const CLI::App* command : app.get_subcommands()) {
    if (what.empty()) what = unknown_option(*command);
  }
  if (what.empty()) what = error.what();
  complain(app.get_name(), what);
  say(fmt::format("Try '{} --help'.\n", app.get_name()));
}

}  // namespace evpool
