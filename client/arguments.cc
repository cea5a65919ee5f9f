#include "client/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "client/command_line.h"
#include "protocol/suggestion.h"

namespace evpool {
namespace {

// Means nothing to CLI11.
constexpr const char* kDataWord = "DATA";

const CLI::Option* find_option(const CLI::App& app, const std::string& name) {
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional() && option->check_name(name)) return option;
  }
  return nullptr;
}

// Whether a shell takes the word as it is.
bool is_plain(const std::string& word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.,/:=+@%").find(c) != std::string_view::npos;
  });
}

class Reader {
 public:
  explicit Reader(const CLI::App& app) : app_(app) {}

  Arguments read(int argc, const char* const* argv) {
    std::vector<std::string> given(argv, argv + argc);
    for (std::size_t i = 1; i < given.size(); ++i) {
      const std::string& word = given[i];
      if (!only_data_ && word == "--") {
        only_data_ = true;
      } else if (!only_data_ && word.starts_with('-') && word != "-") {
        const bool value_follows = take_option(word);
        if (value_follows && i + 1 < given.size()) arguments_.words.push_back(given[++i]);
      } else if (command_ == nullptr) {
        for (const CLI::App* command : app_.get_subcommands(nullptr)) {
          if (command->get_name() == word) command_ = command;
        }
        arguments_.words.push_back(word);
        if (command_ != nullptr) continue;
        // CLI11 will say what is wrong.
        arguments_.words.insert(arguments_.words.end(), given.begin() + static_cast<int>(i) + 1,
                                given.end());
        break;
      } else {
        take_data(word);
      }
    }
    return std::move(arguments_);
  }

 private:
  // Whether its value is the next word.
  bool take_option(const std::string& word) {
    arguments_.words.push_back(word);
    // A short one is one letter, and takes no value.
    const std::string name = word.starts_with("--") ? word.substr(0, word.find('=')) : word;
    const CLI::Option* option = find_option(app_, name);
    if (option == nullptr && command_ != nullptr) option = find_option(*command_, name);
    if (option != nullptr) return name == word && option->get_items_expected_min() > 0;
    // Without a place for more data, it can only have been meant as an option: CLI11 says it.
    if (!takes_data()) return false;
    std::vector<std::string> known = long_options(app_);
    const std::vector<std::string> of_command = long_options(*command_);
    known.insert(known.end(), of_command.begin(), of_command.end());
    throw std::invalid_argument(fmt::format(
        "'{}' looks like an option{}; to send it as the {}, put -- before it: {}", word,
        suggest(name, known), arguments_.job ? "payload" : "job's name", with_separator(word)));
  }

  // The command line that would have been right.
  [[nodiscard]] std::string with_separator(const std::string& word) const {
    const std::string job = arguments_.job && is_plain(*arguments_.job) ? *arguments_.job : "JOB";
    const std::string data = is_plain(word) ? word : "'...'";
    return arguments_.job ? fmt::format("evpool {} {} -- {}", command_->get_name(), job, data)
                          : fmt::format("evpool {} -- {}", command_->get_name(), data);
  }

  [[nodiscard]] bool takes_data() const {
    if (command_ == nullptr) return false;
    const bool call = command_->get_name() == "call";
    const bool map = command_->get_name() == "map";
    return ((call || map) && !arguments_.job) || (call && !arguments_.payload);
  }

  void take_data(const std::string& word) {
    if (!takes_data()) {
      const std::string& command = command_->get_name();
      const char* const hint = command == "map"    ? "; its payloads are the lines of its input"
                               : command == "call" ? "; quote a payload that has blanks"
                                                   : "";
      throw std::invalid_argument(fmt::format("'{}' has no use for '{}'{}", command, word, hint));
    }
    if (!arguments_.job) {
      arguments_.job = word;
    } else {
      arguments_.payload = word;
      arguments_.payload_from_input = word == "-" && !only_data_;
    }
    arguments_.words.emplace_back(kDataWord);
  }

  const CLI::App& app_;
  const CLI::App* command_ = nullptr;
  bool only_data_ = false;
  Arguments arguments_;
};

}  // namespace

Arguments read_arguments(const CLI::App& app, int argc, const char* const* argv) {
  return Reader(app).read(argc, argv);
}

}  // namespace evpool
