// evpool's own dialects: frames, and the bare bytes that the floors take.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <stdexcept>
#include <string>

#include "bench/load/dialect.h"
#include "bench/load/frame_layout.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"

namespace evpool::bench {
namespace {

// A frame's first bytes, up to its id: magic, version, type, and nothing else set.
constexpr std::array<char, kIdOffset> start_of(FrameType type) {
  return {kFrameMagic[0], kFrameMagic[1], kFrameMagic[2], static_cast<char>(kProtocolVersion),
          static_cast<char>(type)};
}
constexpr auto kRequestStart = start_of(FrameType::request);
constexpr auto kReplyStart = start_of(FrameType::reply);

// A reply that is all there is looked at where it is; only what has begun and not ended is kept.
class FrameReader : public ReplyReader {
 public:
  std::span<char> space() override {
    if (!in_body_ || header_.payload_bytes < FrameSplitter::kDirectBytes) return {};
    if (body_bytes_ == header_.payload_bytes) return {};
    grow_body();
    return std::span(body_).subspan(body_bytes_);
  }
  void push(std::string_view bytes) override {
    assert(input_.empty());
    input_ = bytes;
  }
  void received(std::size_t bytes) override {
    assert(in_body_ && body_bytes_ + bytes <= body_.size());
    body_bytes_ += bytes;
  }

  std::size_t next(std::span<IncomingReply> replies) override {
    std::size_t count = 0;
    if (!in_body_ && head_.empty()) {
      for (; count < replies.size(); ++count) {
        const std::size_t frame_bytes = read_whole_reply(input_, replies[count]);
        if (frame_bytes == 0) break;
        input_.remove_prefix(frame_bytes);
      }
    }
    // What is kept belongs to at most one reply, which must not be overwritten before it is used.
    if (count == 0 && read_slowly(replies.front())) return 1;
    return count;
  }

 private:
  static constexpr std::size_t kBodyStepBytes = std::size_t{256} << 10U;

  // The usual: the next is a whole reply without any fault. 0: look closer.
  static std::size_t read_whole_reply(std::string_view bytes, IncomingReply& reply) {
    if (bytes.size() < kFrameHeaderBytes) return 0;
    const auto status = static_cast<std::uint8_t>(bytes[kPriorityOrStatusOffset]);
    std::array<char, kIdOffset> expected = kReplyStart;
    expected[kPriorityOrStatusOffset] = bytes[kPriorityOrStatusOffset];
    if (std::memcmp(bytes.data(), expected.data(), expected.size()) != 0) return 0;
    if (status >= kStatusCount) return 0;
    if (load_big_endian<std::uint32_t>(&bytes[kTimeoutOffset]) != 0) return 0;
    const std::size_t payload_bytes = load_big_endian<std::uint32_t>(&bytes[kPayloadBytesOffset]);
    if (bytes.size() - kFrameHeaderBytes < payload_bytes) return 0;
    reply.id = load_big_endian<std::uint64_t>(&bytes[kIdOffset]);
    reply.status = static_cast<Status>(status);
    reply.payload = {bytes.data() + kFrameHeaderBytes, payload_bytes};
    return kFrameHeaderBytes + payload_bytes;
  }

  bool read_slowly(IncomingReply& reply) {
    do {
      if (!in_body_ && !take_header()) return false;
      if (!take_body()) return false;
      in_body_ = false;
    } while (header_.type != FrameType::reply);
    reply = {header_.id, header_.status, body_};
    return true;
  }

  bool take_header() {
    const std::size_t taken = std::min(kFrameHeaderBytes - head_.size(), input_.size());
    head_.append(input_.substr(0, taken));
    input_.remove_prefix(taken);
    const FrameError error = decode_header(head_, header_);
    // A wrong first byte is told at once, not after 24 of them.
    if (error == FrameError::truncated) return false;
    if (error != FrameError::none) {
      throw std::runtime_error(fmt::format("the server sent what is no frame: {}", explain(error)));
    }
    head_.clear();
    body_.clear();
    body_bytes_ = 0;
    in_body_ = true;
    return true;
  }

  // True when the payload is whole.
  bool take_body() {
    while (!input_.empty() && body_bytes_ < header_.payload_bytes) {
      grow_body();
      const std::size_t taken = std::min(input_.size(), body_.size() - body_bytes_);
      std::memcpy(&body_[body_bytes_], input_.data(), taken);
      body_bytes_ += taken;
      input_.remove_prefix(taken);
    }
    return body_bytes_ == header_.payload_bytes;
  }

  // By a step at a time: nothing is allocated on the word of a length field.
  void grow_body() {
    if (body_bytes_ < body_.size()) return;
    body_.resize(std::min<std::size_t>(header_.payload_bytes, body_bytes_ + kBodyStepBytes));
  }

  std::string_view input_;  // pushed and not yet consumed
  std::string head_;        // the beginning of a header
  FrameHeader header_;      // while in_body_, and the three below
  std::string body_;        // may be larger than what has been received of it
  std::size_t body_bytes_ = 0;
  bool in_body_ = false;
};

class FrameDialect : public Dialect {
 public:
  void append_requests(std::span<const OutgoingRequest> requests, SendBuffer& out) const override {
    for (const OutgoingRequest& request : requests) {
      assert(!request.job.empty() && request.job.size() <= kMaxJobNameBytes);
      assert(request.payload.size() <= UINT32_MAX);
      char* const frame =
          out.extend(kFrameHeaderBytes + request.job.size() + request.payload.size());
      std::memcpy(frame, kRequestStart.data(), kRequestStart.size());
      frame[kPriorityOrStatusOffset] = static_cast<char>(request.priority);
      frame[kNameBytesOffset] = static_cast<char>(request.job.size());
      store_big_endian(request.id, frame + kIdOffset);
      store_big_endian(request.timeout_ms, frame + kTimeoutOffset);
      store_big_endian(static_cast<std::uint32_t>(request.payload.size()),
                       frame + kPayloadBytesOffset);
      char* const name = frame + kFrameHeaderBytes;
      std::copy(request.job.begin(), request.job.end(), name);
      std::copy(request.payload.begin(), request.payload.end(), name + request.job.size());
    }
  }
  std::unique_ptr<ReplyReader> make_reader() const override {
    return std::make_unique<FrameReader>();
  }
  // As decode_datagram(), but the payload stays where it is: a Frame would be a copy for each
  // datagram, and could not outlive this call.
  bool read_datagram(std::string_view datagram, IncomingReply& reply) const override {
    FrameHeader header;
    if (decode_header(datagram, header) != FrameError::none) return false;
    if (header.type != FrameType::reply) return false;
    const std::string_view payload = datagram.substr(kFrameHeaderBytes);
    if (payload.size() != header.payload_bytes) return false;
    reply = {header.id, header.status, payload};
    return true;
  }
  std::string datagram_probe() const override {
    std::string ping;
    append_header({.type = FrameType::ping}, ping);
    return ping;
  }
};

// Keeps at most one incomplete reply.
class RawReader : public ReplyReader {
 public:
  explicit RawReader(std::size_t bytes) : kept_(bytes, '\0') {}

  std::span<char> space() override {
    if (kept_.size() < FrameSplitter::kDirectBytes) return {};
    return std::span(kept_).subspan(kept_bytes_);
  }
  void push(std::string_view bytes) override {
    assert(input_.empty());
    input_ = bytes;
  }
  void received(std::size_t bytes) override {
    assert(kept_bytes_ + bytes <= kept_.size());
    kept_bytes_ += bytes;
  }

  std::size_t next(std::span<IncomingReply> replies) override {
    const std::size_t bytes = kept_.size();
    std::size_t count = 0;
    if (kept_bytes_ == 0) {
      for (; count < replies.size() && input_.size() >= bytes; ++count) {
        replies[count] = {std::nullopt, Status::ok, input_.substr(0, bytes)};
        input_.remove_prefix(bytes);
      }
      if (count > 0) return count;
    }
    const std::size_t taken = std::min(input_.size(), bytes - kept_bytes_);
    if (taken > 0) std::memcpy(&kept_[kept_bytes_], input_.data(), taken);
    input_.remove_prefix(taken);
    kept_bytes_ += taken;
    if (kept_bytes_ < bytes) return 0;
    kept_bytes_ = 0;
    replies.front() = {std::nullopt, Status::ok, kept_};
    return 1;
  }

 private:
  std::string kept_;  // as large as a reply
  std::size_t kept_bytes_ = 0;
  std::string_view input_;  // pushed and not yet consumed
};

// Over UDP, where datagrams get lost and overtake each other, that a reply answers the oldest
// request is only an approximation: its payload may be another's, and latencies are those of
// neighbours. Rates are right.
class RawDialect : public Dialect {
 public:
  explicit RawDialect(std::uint32_t bytes) : bytes_(bytes) {
    if (bytes == 0) throw std::invalid_argument("raw requests and replies need at least one byte");
  }

  // REQUIRES: payloads are as long as the dialect was told.
  void append_requests(std::span<const OutgoingRequest> requests, SendBuffer& out) const override {
    char* to = out.extend(requests.size() * bytes_);
    for (const OutgoingRequest& request : requests) {
      assert(request.payload.size() == bytes_);
      to = std::copy(request.payload.begin(), request.payload.end(), to);
    }
  }
  std::unique_ptr<ReplyReader> make_reader() const override {
    return std::make_unique<RawReader>(bytes_);
  }
  bool has_ids() const override { return false; }
  bool read_datagram(std::string_view datagram, IncomingReply& reply) const override {
    if (datagram.size() != bytes_) return false;
    reply = {std::nullopt, Status::ok, datagram};
    return true;
  }

 private:
  const std::size_t bytes_;
};

}  // namespace

std::unique_ptr<Dialect> make_frame_dialect() { return std::make_unique<FrameDialect>(); }

std::unique_ptr<Dialect> make_raw_dialect(std::uint32_t bytes) {
  return std::make_unique<RawDialect>(bytes);
}

}  // namespace evpool::bench
