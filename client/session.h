// What the command's options mean for its client. One thread.
#pragma once

#include <cstddef>
#include <string>

#include "client/client.h"
#include "client/command_options.h"

namespace evpool {

[[nodiscard]] ClientOptions client_options(const CommandOptions& options);

// No payload longer than this can be sent.
[[nodiscard]] std::size_t longest_payload(const CommandOptions& options);

// Why a payload of this many bytes ("70000", "more than 65483") is not sent.
[[nodiscard]] std::string too_large_to_send(const CommandOptions& options,
                                            const std::string& bytes);

}  // namespace evpool
