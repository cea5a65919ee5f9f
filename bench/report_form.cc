#include "bench/report_form.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/report_text.h"

namespace evpool::bench {

void add_report_flags(CLI::App& command, ReportForm& form, const char* json_description) {
  command.add_flag("--json", form.json, json_description);
  command.add_flag("-v,--verbose", form.verbose, "Print what it was measured with, too");
}

void print_closing(const ReportForm& form, const Provenance& provenance,
                   std::string_view essential) {
  if (form.verbose) fmt::print("\n{}", provenance_text(provenance));
  fmt::print("\n{}\n", essential);
}

}  // namespace evpool::bench
