#include "console/version.h"

namespace evpool {

std::string version_line(std::string_view program) {
  // CMake gives it to this file alone, so that a new version compiles nothing else anew.
  return std::string(program) + " " EVPOOL_VERSION;
}

}  // namespace evpool
