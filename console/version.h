// The version of all three programs: that of the project in CMakeLists.txt. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace evpool {

// What `program --version` prints, without a line end: "evpoold 0.1.0".
[[nodiscard]] std::string version_line(std::string_view program);

}  // namespace evpool
