// Workers for a gearmand, so that it has somebody to give its jobs to: evpool runs its own, a
// gearmand has none.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "client/transport.h"
#include "protocol/address.h"

namespace evpool::bench {

// Threads that do the function `upper`, each with a connection of its own: the result is the
// payload in upper case, but for the kGearmanIdDigits in front, which stay as they are.
//
// Used by one thread. A thread of it ends when its gearmand goes away or speaks nonsense; the jobs
// then stay undone, as their clients notice.
class GearmanWorker {
 public:
  // Throws ConnectError, or std::system_error when a thread cannot be made.
  GearmanWorker(const Address& gearmand, std::size_t threads, std::chrono::milliseconds timeout);
  // Returns when all threads have ended; a job that one of them has is finished or given back.
  ~GearmanWorker();
  GearmanWorker(const GearmanWorker&) = delete;
  GearmanWorker& operator=(const GearmanWorker&) = delete;

  // Of all threads that are still at work, since they began.
  [[nodiscard]] double cpu_seconds();

 private:
  void stop();

  // Constant once the threads run; they use the descriptors, and stop() shuts them down.
  std::vector<std::unique_ptr<ClientSocket>> sockets_;
  std::vector<std::thread> threads_;
};

}  // namespace evpool::bench
