// A server of this process, run by a thread of its own, with what tests need of handlers.
#pragma once

#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <set>
#include <thread>
#include <utility>

#include "server/builtin_jobs.h"
#include "server/server.h"

namespace evpool {

inline ServerOptions local_options() {
  return {.tcp = {{"127.0.0.1", 0}},
          .tcp_raw = {{"127.0.0.1", 0}},
          .udp = {{"127.0.0.1", 0}},
          .workers = 2};
}

// Lets a test hold the `hold` job for as long as it likes.
class Gate {
 public:
  // Called by the handler.
  void enter() {
    entered_.release();
    leave_.acquire();
  }
  void wait_until_entered() { entered_.acquire(); }
  void open(int times = 1) { leave_.release(times); }

 private:
  std::counting_semaphore<1024> entered_{0};
  std::counting_semaphore<1024> leave_{0};
};

class RunningServer {
 public:
  explicit RunningServer(ServerOptions options = local_options()) {
    Handlers handlers;
    add_builtin_jobs(handlers);
    handlers.add("hold", "waits for the test", [this](Request& request) {
      gate.enter();
      return Reply::ok(std::move(request.payload));
    });
    handlers.add("throw", "throws", [](Request&) -> Reply { throw std::runtime_error("thrown"); });
    handlers.add("throw_int", "throws", [](Request&) -> Reply { throw 7; });
    handlers.add("large", "as many bytes as the payload says", [](Request& request) {
      return Reply::ok(std::string(std::stoul(request.payload), 'x'));
    });
    handlers.add("remember", "echoes, and remembers where its payload was",
                 [this](Request& request) {
                   {
                     const std::lock_guard lock(payloads_mutex_);
                     payloads_at_.insert(request.payload.data());
                   }
                   return Reply::ok(std::move(request.payload));
                 });
    add_statistics_job(handlers, [this] { return server_->statistics(); });
    server_ = std::make_unique<Server>(std::move(options), std::move(handlers));
    thread_ = std::thread([this] { report_ = server_->run(); });
  }
  ~RunningServer() {
    if (thread_.joinable()) drain();
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  [[nodiscard]] std::uint16_t tcp() const { return server_->listening().at(0).address.port; }
  [[nodiscard]] std::uint16_t raw() const { return server_->listening().at(1).address.port; }
  [[nodiscard]] std::uint16_t udp() const { return server_->listening().at(2).address.port; }

  Server& operator*() { return *server_; }
  Server* operator->() { return server_.get(); }

  // Drains, and checks the account: every request received has one outcome.
  DrainReport drain() {
    server_->drain();
    thread_.join();
    const Statistics& counts = report_->statistics;
    if (report_->still_running == 0) {
      EXPECT_EQ(counts.received, counts.completed + counts.failed + counts.expired +
                                     counts.cancelled + counts.refused);
    }
    return *report_;
  }
  void destroy() { server_.reset(); }

  // Waits until the statistics satisfy `holds`.
  template <typename Predicate>
  void wait_for(Predicate holds) {
    const auto deadline = Clock::now() + std::chrono::seconds(30);
    while (!holds(server_->statistics())) {
      ASSERT_LT(Clock::now(), deadline);
      std::this_thread::yield();
    }
  }

  // Where in memory the payloads of `remember` have been.
  [[nodiscard]] std::set<const char*> payloads_at() {
    const std::lock_guard lock(payloads_mutex_);
    return payloads_at_;
  }

  Gate gate;

 private:
  std::mutex payloads_mutex_;
  std::set<const char*> payloads_at_;
  std::unique_ptr<Server> server_;
  std::optional<DrainReport> report_;
  std::thread thread_;
};

}  // namespace evpool
