// The statuses that evpool-bench's commands end with.
#pragma once

namespace evpool::bench {

enum Exit : int {
  kOk = 0,
  kWrongReplies = 1,
  kRegression = 1,  // of `gate`, which sees no replies
  kUsage = 2,
  kInvalid = 3,  // not to be believed, or nothing measured
};

}  // namespace evpool::bench
