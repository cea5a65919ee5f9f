// How a worker's thread is to be created.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <climits>
#include <cstddef>
#include <new>
#include <string>
#include <system_error>

namespace evpool {

class ThreadAttributes {
 public:
  ThreadAttributes() {
    if (pthread_attr_init(&attributes_) != 0) throw std::bad_alloc();
  }
  ~ThreadAttributes() { pthread_attr_destroy(&attributes_); }
  ThreadAttributes(const ThreadAttributes&) = delete;
  ThreadAttributes& operator=(const ThreadAttributes&) = delete;

  void set_stack(std::size_t bytes) {
    check(pthread_attr_setstacksize(&attributes_, bytes),
          "cannot give a worker a stack of " + std::to_string(bytes) +
              " bytes: it must have at least " + std::to_string(PTHREAD_STACK_MIN) +
              " (0: the process's default)");
  }
  void set_detached() {
    check(pthread_attr_setdetachstate(&attributes_, PTHREAD_CREATE_DETACHED),
          "cannot detach a thread");
  }
  void set_cpu(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    check(pthread_attr_setaffinity_np(&attributes_, sizeof(cpus), &cpus),
          "cannot tie a worker to CPU " + std::to_string(cpu));
  }
  [[nodiscard]] const pthread_attr_t* get() const { return &attributes_; }

 private:
  static void check(int error, const std::string& what) {
    if (error != 0) throw std::system_error(error, std::generic_category(), what);
  }
  pthread_attr_t attributes_{};
};

// Blocks all asynchronous signals in this thread while it lives; threads started meanwhile inherit
// that.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    // Faults stay deliverable: a blocked SIGSEGV kills without a trace, and a blocked SIGSYS, with
    // which a seccomp filter answers a system call, without its handler.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace evpool
