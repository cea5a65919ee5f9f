#include "bench/load/peer_dialects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "bench/load/gearman_packet.h"

namespace evpool::bench {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
// Longer than any status or error line of these servers.
constexpr std::size_t kMaxLineBytes = 4096;
// redis' default for proto-max-bulk-len.
constexpr std::size_t kMaxBulkBytes = std::size_t{512} << 20U;
// Of a server's words in a message.
constexpr std::size_t kQuotedBytes = 80;

// Printable, and not too long.
std::string quoted(std::string_view text) {
  std::string result(text.substr(0, kQuotedBytes));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

// The line at the start of `bytes`, without its end; none when it has none yet.
std::optional<std::string_view> first_line(std::string_view bytes) {
  const std::size_t end = bytes.substr(0, kMaxLineBytes).find('\n');
  if (end == std::string_view::npos) {
    if (bytes.size() < kMaxLineBytes) return std::nullopt;
    throw std::runtime_error(fmt::format("the server sent no line: '{}'", quoted(bytes)));
  }
  if (end == 0 || bytes[end - 1] != '\r') {
    throw std::runtime_error(
        fmt::format("the server sent a line that does not end as one: '{}'", quoted(bytes)));
  }
  return bytes.substr(0, end - 1);
}

void append_number(std::size_t number, SendBuffer& out) {
  std::array<char, std::numeric_limits<std::size_t>::digits10 + 1> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append({digits.data(), end});
}

// Keeps the beginning of an answer until its end comes. What has been pushed is looked at where it
// is, unless it continues an answer that began before.
class KeepingReader : public ReplyReader {
 public:
  void push(std::string_view bytes) final {
    assert(unread_.empty() || !kept_.empty());
    if (kept_.empty()) {
      unread_ = bytes;
    } else {
      kept_.append(bytes);
      unread_ = kept_;
    }
  }

  // One at a time: what comes after it may be nonsense, or move what is kept.
  std::size_t next(std::span<IncomingReply> replies) final {
    for (;;) {
      const Answer answer = first_answer(unread_, replies.front());
      if (answer.bytes == 0) break;
      unread_.remove_prefix(answer.bytes);
      if (answer.is_reply) return 1;
    }
    keep_unread();
    return 0;
  }

 protected:
  struct Answer {
    std::size_t bytes = 0;  // 0: it is not all there yet
    bool is_reply = true;
  };

 private:
  // Reads the first answer in `bytes`, which may be empty; into `reply` when it is one. It looks at
  // a bounded number of bytes before it knows how many it waits for.
  virtual Answer first_answer(std::string_view bytes, IncomingReply& reply) = 0;

  void keep_unread() {
    if (kept_.empty()) {
      kept_.assign(unread_);
    } else {
      kept_.erase(0, kept_.size() - unread_.size());
    }
    unread_ = kept_;
  }

  std::string kept_;         // an incomplete answer, and what was pushed after it
  std::string_view unread_;  // the end of kept_; or of what was pushed last, while that is empty
};

class TcpDialect : public Dialect {
 public:
  void append_requests(std::span<const OutgoingRequest> requests, SendBuffer& out) const final {
    for (const OutgoingRequest& request : requests) append_request(request, out);
  }
  bool read_datagram(std::string_view /*datagram*/, IncomingReply& /*reply*/) const override {
    return false;
  }

 private:
  virtual void append_request(const OutgoingRequest& request, SendBuffer& out) const = 0;
};

// --- redis ---------------------------------------------------------------------------------------

// Of "$N".
std::optional<std::size_t> parse_bulk_size(std::string_view line) {
  if (!line.starts_with('$')) return std::nullopt;
  std::size_t bytes = 0;
  const char* const end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + 1, end, bytes);
  if (error != std::errc{} || stop != end || bytes > kMaxBulkBytes) return std::nullopt;
  return bytes;
}

class RedisReader : public KeepingReader {
  Answer first_answer(std::string_view bytes, IncomingReply& reply) override {
    const auto line = first_line(bytes);
    if (!line) return {};
    const std::size_t line_bytes = line->size() + kLineEnd.size();
    if (line->starts_with('-')) {
      reply = {std::nullopt, Status::failed, line->substr(1)};
      return {line_bytes};
    }
    if (*line == "$-1") {
      reply = {std::nullopt, Status::not_found, {}};
      return {line_bytes};
    }
    const auto bulk_bytes = parse_bulk_size(*line);
    if (!bulk_bytes) {
      throw std::runtime_error(
          fmt::format("redis answered ECHO with what is no string: '{}'", quoted(*line)));
    }
    const std::size_t all_bytes = line_bytes + *bulk_bytes + kLineEnd.size();
    if (bytes.size() < all_bytes) return {};
    if (!bytes.substr(line_bytes + *bulk_bytes).starts_with(kLineEnd)) {
      throw std::runtime_error("redis sent a string that is longer than it said");
    }
    reply = {std::nullopt, Status::ok, bytes.substr(line_bytes, *bulk_bytes)};
    return {all_bytes};
  }
};

class RedisDialect : public TcpDialect {
 public:
  void append_request(const OutgoingRequest& request, SendBuffer& out) const override {
    out.append("*2\r\n$4\r\nECHO\r\n$");
    append_number(request.payload.size(), out);
    out.append(kLineEnd).append(request.payload).append(kLineEnd);
  }
  std::unique_ptr<ReplyReader> make_reader() const override {
    return std::make_unique<RedisReader>();
  }
  bool has_ids() const override { return false; }
};

// --- memcached -----------------------------------------------------------------------------------

constexpr std::string_view kValueEnd = "\r\nEND\r\n";

class MemcachedReader : public KeepingReader {
 public:
  // `value` must outlive it.
  explicit MemcachedReader(const std::string& value)
      : value_(value), value_line_(fmt::format("VALUE evpool 0 {}", value.size())) {}

 private:
  Answer first_answer(std::string_view bytes, IncomingReply& reply) override {
    const auto line = first_line(bytes);
    if (!line) return {};
    const std::size_t line_bytes = line->size() + kLineEnd.size();
    if (!greeted_) {
      if (*line != "STORED") {
        throw std::runtime_error(fmt::format("memcached did not store: '{}'", quoted(*line)));
      }
      greeted_ = true;
      return {line_bytes, false};
    }
    if (*line == value_line_) {
      const std::size_t all_bytes = line_bytes + value_.size() + kValueEnd.size();
      if (bytes.size() < all_bytes) return {};
      const std::string_view value = bytes.substr(line_bytes, value_.size());
      if (value != value_ || !bytes.substr(line_bytes + value_.size()).starts_with(kValueEnd)) {
        throw std::runtime_error("memcached sent another value than it was given");
      }
      reply = {std::nullopt, Status::ok, value};
      return {all_bytes};
    }
    if (*line == "END") {
      reply = {std::nullopt, Status::not_found, {}};
      return {line_bytes};
    }
    if (*line == "ERROR" || line->starts_with("SERVER_ERROR") ||
        line->starts_with("CLIENT_ERROR")) {
      reply = {std::nullopt, Status::failed, *line};
      return {line_bytes};
    }
    throw std::runtime_error(
        fmt::format("memcached answered get with what is no value: '{}'", quoted(*line)));
  }

  const std::string& value_;
  const std::string value_line_;
  bool greeted_ = false;
};

class MemcachedDialect : public TcpDialect {
 public:
  explicit MemcachedDialect(std::string value) : value_(std::move(value)) {}

  std::string greeting() const override {
    return fmt::format("set evpool 0 0 {}\r\n{}\r\n", value_.size(), value_);
  }
  void append_request(const OutgoingRequest& /*request*/, SendBuffer& out) const override {
    out.append("get evpool\r\n");
  }
  std::unique_ptr<ReplyReader> make_reader() const override {
    return std::make_unique<MemcachedReader>(value_);
  }
  bool has_ids() const override { return false; }

 private:
  const std::string value_;
};

// A datagram begins with four numbers of 16 bits: the request's, the datagram's among those of its
// message, how many these are, and 0. See "UDP protocol" in memcached's doc/protocol.txt.
class MemcachedUdpDialect : public Dialect {
 public:
  explicit MemcachedUdpDialect(std::string value)
      : value_(std::move(value)),
        reply_(fmt::format("VALUE evpool 0 {}\r\n{}{}", value_.size(), value_, kValueEnd)) {}

  void append_requests(std::span<const OutgoingRequest> requests, SendBuffer& out) const override {
    for (const OutgoingRequest& request : requests) {
      out.push_back(static_cast<char>(request.id >> 8U & 0xFFU));
      out.push_back(static_cast<char>(request.id & 0xFFU));
      out.append(kOnlyDatagram).append("get evpool\r\n");
    }
  }
  std::unique_ptr<ReplyReader> make_reader() const override {
    throw std::logic_error("this dialect has no connections");
  }
  bool has_ids() const override { return false; }
  bool read_datagram(std::string_view datagram, IncomingReply& reply) const override {
    if (datagram.size() < kHeaderBytes ||
        datagram.substr(2, kOnlyDatagram.size()) != kOnlyDatagram) {
      return false;
    }
    if (datagram.substr(kHeaderBytes) != reply_) return false;
    reply = {std::nullopt, Status::ok, value_};
    return true;
  }

 private:
  static constexpr std::size_t kHeaderBytes = 8;
  // The first of one.
  static constexpr std::string_view kOnlyDatagram{"\0\0\0\1\0\0", 6};

  const std::string value_;
  const std::string reply_;
};

// --- gearmand ------------------------------------------------------------------------------------

// The end of a function's name, and a unique name: none.
constexpr std::string_view kNoUniqueName{"\0\0", 2};

void append_hexadecimal(std::uint64_t number, SendBuffer& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (std::size_t i = kGearmanIdDigits; i-- > 0;) out.push_back(kDigits[(number >> 4 * i) & 15U]);
}

std::optional<std::uint64_t> parse_id(std::string_view digits) {
  if (digits.size() != kGearmanIdDigits) return std::nullopt;
  std::uint64_t id = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, id, 16);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return id;
}

class GearmanReader : public KeepingReader {
  Answer first_answer(std::string_view bytes, IncomingReply& reply) override {
    const GearmanPacket packet = first_gearman_packet(bytes);
    if (packet.bytes == 0) return {};
    std::string_view body = packet.body;
    switch (packet.type) {
      case GearmanType::job_created:
        return {packet.bytes, false};
      case GearmanType::work_complete: {
        take_gearman_argument(body);  // the handle
        const auto id = parse_id(body.substr(0, kGearmanIdDigits));
        if (!id) {
          throw std::runtime_error(
              fmt::format("a gearman worker's result does not begin with its request's id: '{}'",
                          quoted(body)));
        }
        reply = {id, Status::ok, body.substr(kGearmanIdDigits)};
        return {packet.bytes};
      }
      case GearmanType::work_fail:
        throw std::runtime_error("a gearman worker failed, or went away with a job");
      case GearmanType::error: {
        const std::string code = quoted(take_gearman_argument(body));
        throw std::runtime_error(fmt::format("gearmand refused: {}: {}", code, quoted(body)));
      }
      default:
        throw std::runtime_error(fmt::format("gearmand sent a packet of type {}, unasked",
                                             static_cast<std::uint32_t>(packet.type)));
    }
  }
};

class GearmanDialect : public TcpDialect {
 public:
  void append_request(const OutgoingRequest& request, SendBuffer& out) const override {
    // The function and the unique name, each with its NUL; no unique name: gearmand would take jobs
    // of the same name for one.
    append_gearman_header(GearmanType::submit_job,
                          request.job.size() + 2 + kGearmanIdDigits + request.payload.size(), out);
    out.append(request.job).append(kNoUniqueName);
    append_hexadecimal(request.id, out);
    out.append(request.payload);
  }
  std::unique_ptr<ReplyReader> make_reader() const override {
    return std::make_unique<GearmanReader>();
  }
};

}  // namespace

std::unique_ptr<Dialect> make_redis_dialect() { return std::make_unique<RedisDialect>(); }

std::unique_ptr<Dialect> make_memcached_dialect(std::string value) {
  return std::make_unique<MemcachedDialect>(std::move(value));
}

std::unique_ptr<Dialect> make_memcached_udp_dialect(std::string value) {
  return std::make_unique<MemcachedUdpDialect>(std::move(value));
}

std::unique_ptr<Dialect> make_gearman_dialect() { return std::make_unique<GearmanDialect>(); }

}  // namespace evpool::bench
