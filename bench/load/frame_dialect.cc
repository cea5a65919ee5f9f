// evpool's own dialects: frames, and the bare bytes that the floors take.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <stdexcept>
#include <string>

#include "bench/load/dialect.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"

namespace evpool::bench {
namespace {

class FrameReader : public ReplyReader {
 public:
  std::span<char> space() override { return splitter_.body_space(); }
  void push(std::string_view bytes) override { splitter_.push(bytes); }
  void received(std::size_t bytes) override { splitter_.body_received(bytes); }

  bool next(IncomingReply& reply) override {
    for (;;) {
      switch (splitter_.next(frame_)) {
        case FrameSplitter::Item::need_more:
          return false;
        case FrameSplitter::Item::oversize:
          throw std::runtime_error(
              fmt::format("the server sent a reply of {} bytes", frame_.header.payload_bytes));
        case FrameSplitter::Item::malformed:
          throw std::runtime_error(
              fmt::format("the server sent what is no frame: {}", explain(splitter_.error())));
        case FrameSplitter::Item::frame:
          if (frame_.header.type != FrameType::reply) continue;
          reply = {frame_.header.id, frame_.header.status, frame_.payload};
          return true;
      }
    }
  }

 private:
  FrameSplitter splitter_{UINT32_MAX};
  Frame frame_;  // its strings keep their memory from reply to reply
};

class FrameDialect : public Dialect {
 public:
  void append_request(const OutgoingRequest& request, std::string& out) const override {
    evpool::append_request(request.id, request.job, request.payload, request.timeout_ms,
                           request.priority, out);
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

  bool next(IncomingReply& reply) override {
    const std::size_t bytes = kept_.size();
    if (kept_bytes_ == 0 && input_.size() >= bytes) {
      reply = {std::nullopt, Status::ok, input_.substr(0, bytes)};
      input_.remove_prefix(bytes);
      return true;
    }
    const std::size_t taken = std::min(input_.size(), bytes - kept_bytes_);
    if (taken > 0) std::memcpy(&kept_[kept_bytes_], input_.data(), taken);
    input_.remove_prefix(taken);
    kept_bytes_ += taken;
    if (kept_bytes_ < bytes) return false;
    kept_bytes_ = 0;
    reply = {std::nullopt, Status::ok, kept_};
    return true;
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

  // REQUIRES: the payload is as long as the dialect was told.
  void append_request(const OutgoingRequest& request, std::string& out) const override {
    assert(request.payload.size() == bytes_);
    out.append(request.payload);
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
