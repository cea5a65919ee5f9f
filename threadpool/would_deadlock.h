// How a thread is refused what it would wait for without end.
#pragma once

#include <system_error>

namespace evpool {

[[noreturn]] inline void throw_would_deadlock(const char* why) {
  throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur), why);
}

}  // namespace evpool
