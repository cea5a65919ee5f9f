#pragma once

#include <cstddef>
#include <cstdint>

namespace evpool {

enum class TaskPriority : std::uint8_t { high, normal, low };
inline constexpr std::size_t kTaskPriorities = 3;

}  // namespace evpool
