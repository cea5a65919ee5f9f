// Tells data from options in evpool's command line, before CLI11 reads it. CLI11 takes every word
// that begins with '-' for options, `-hello` for -h, drops `++`, and gives some payloads a meaning
// of its own. A job's name and its payload are bytes: they must arrive as they are. One thread.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace evpool {

// The words of a command line.
struct Arguments {
  // For CLI11: what was given, but each word of data replaced by one that has no meaning to it.
  std::vector<std::string> words;
  std::optional<std::string> job;
  std::optional<std::string> payload;
  // Whether the payload is a bare '-' before any `--`: standard input.
  bool payload_from_input = false;
};

// `app` has its options and commands already; the commands that take data are `call` (JOB and
// PAYLOAD) and `map` (JOB). After `--` every word is data. Throws std::invalid_argument with a
// sentence about a word that looks like an option and is none, or is one too many.
[[nodiscard]] Arguments read_arguments(const CLI::App& app, int argc, const char* const* argv);

}  // namespace evpool
