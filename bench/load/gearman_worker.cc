#include "bench/load/gearman_worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bench/load/gearman_packet.h"
#include "bench/load/system.h"

namespace evpool::bench {
namespace {

constexpr std::string_view kFunction = "upper";
constexpr std::size_t kReceiveBytes = std::size_t{64} << 10U;

char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// One thread's conversation. It asks for the next job with the result of the last, which is as fast
// as this protocol goes.
class Conversation {
 public:
  explicit Conversation(int socket) : socket_(socket) {}

  void run() {
    append_gearman_header(GearmanType::can_do, kFunction.size(), out_);
    out_.append(kFunction);
    append_gearman_header(GearmanType::grab_job, 0, out_);
    while (send_all(socket_, out_)) {
      out_.clear();
      if (!receive()) return;
      answer_all();
    }
  }

 private:
  bool receive() {
    std::array<char, kReceiveBytes> piece;
    for (;;) {
      const ssize_t received = recv(socket_, piece.data(), piece.size(), 0);
      if (received < 0 && errno == EINTR) continue;
      if (received <= 0) return false;
      in_.append(piece.data(), static_cast<std::size_t>(received));
      return true;
    }
  }

  void answer_all() {
    std::string_view unread = in_;
    for (;;) {
      const GearmanPacket packet = first_gearman_packet(unread);
      if (packet.bytes == 0) break;
      answer(packet);
      unread.remove_prefix(packet.bytes);
    }
    in_.erase(0, in_.size() - unread.size());
  }

  void answer(const GearmanPacket& packet) {
    switch (packet.type) {
      case GearmanType::no_job:
        append_gearman_header(GearmanType::pre_sleep, 0, out_);
        asleep_ = true;
        return;
      case GearmanType::noop:
        // It may wake a worker more than once.
        if (asleep_) append_gearman_header(GearmanType::grab_job, 0, out_);
        asleep_ = false;
        return;
      case GearmanType::job_assign:
        work(packet.body);
        append_gearman_header(GearmanType::grab_job, 0, out_);
        return;
      default:
        throw std::runtime_error("gearmand sent a worker what is not for workers");
    }
  }

  void work(std::string_view body) {
    const std::string_view handle = take_gearman_argument(body);
    take_gearman_argument(body);  // the function
    if (body.size() < kGearmanIdDigits) {
      append_gearman_header(GearmanType::work_fail, handle.size(), out_);
      out_.append(handle);
      return;
    }
    append_gearman_header(GearmanType::work_complete, handle.size() + 1 + body.size(), out_);
    out_.append(handle).push_back('\0');
    out_.append(body);
    const auto payload = out_.end() - static_cast<std::ptrdiff_t>(body.size() - kGearmanIdDigits);
    std::transform(payload, out_.end(), payload, to_upper);
  }

  const int socket_;
  std::string in_;   // received and not yet answered
  std::string out_;  // to be sent
  bool asleep_ = false;
};

// The socket stays its owner's.
void converse(int socket) {
  try {
    Conversation(socket).run();
  } catch (const std::exception&) {
    // gearmand must not wait for a worker that has left.
    shutdown(socket, SHUT_RDWR);
  }
}

}  // namespace

GearmanWorker::GearmanWorker(const Address& gearmand, std::size_t threads,
                             std::chrono::milliseconds timeout) {
  for (std::size_t i = 0; i < threads; ++i) {
    sockets_.push_back(std::make_unique<ClientSocket>(gearmand, false, timeout));
    const int socket = sockets_.back()->get();
    // A thread of its own can wait in recv() and spare the poll().
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) & ~O_NONBLOCK);
  }
  try {
    for (const auto& socket : sockets_) {
      threads_.push_back(start_thread("a gearman worker's thread", converse, socket->get()));
    }
  } catch (...) {
    stop();
    throw;
  }
}

GearmanWorker::~GearmanWorker() { stop(); }

void GearmanWorker::stop() {
  for (const auto& socket : sockets_) shutdown(socket->get(), SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

double GearmanWorker::cpu_seconds() {
  double sum = 0;
  for (std::thread& thread : threads_) {
    clockid_t clock{};
    timespec used{};
    if (pthread_getcpuclockid(thread.native_handle(), &clock) == 0 &&
        clock_gettime(clock, &used) == 0) {
      sum += static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
    }
  }
  return sum;
}

}  // namespace evpool::bench
