// In what form a command says what it found: lines for a screen, or JSON. One thread.
#pragma once

#include <string_view>

#include "bench/load/provenance.h"

namespace CLI {
class App;
}  // namespace CLI

namespace evpool::bench {

struct ReportForm {
  bool json = false;
  bool verbose = false;  // lines: with what was measured, too; JSON always says it
};

// --json and --verbose. `form` must outlive the parsing.
void add_report_flags(CLI::App& command, ReportForm& form,
                      const char* json_description = "Print one JSON object");

// Ends the lines on standard output. `essential` is the line to take away: it comes last, where a
// reader's eyes are when the command has ended. The provenance stands before it if it is wanted.
void print_closing(const ReportForm& form, const Provenance& provenance,
                   std::string_view essential);

}  // namespace evpool::bench
