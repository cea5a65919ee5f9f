// What a frame costs to make, to read, and to cut from a stream.
#include <benchmark/benchmark.h>

#include <string>

#include "protocol/frame.h"
#include "protocol/frame_splitter.h"

namespace {

std::string make_request(std::size_t payload_bytes) {
  std::string frame;
  evpool::append_request(1, "upper", std::string(payload_bytes, 'x'), 1000,
                         evpool::Priority::normal, frame);
  return frame;
}

void append_request(benchmark::State& state) {
  const std::string payload(static_cast<std::size_t>(state.range(0)), 'x');
  std::string frame;
  for (auto _ : state) {
    frame.clear();
    evpool::append_request(1, "upper", payload, 1000, evpool::Priority::normal, frame);
    benchmark::DoNotOptimize(frame.data());
  }
}
BENCHMARK(append_request)->Arg(32)->Arg(1024);

void decode_datagram(benchmark::State& state) {
  const std::string datagram = make_request(static_cast<std::size_t>(state.range(0)));
  evpool::Frame frame;
  for (auto _ : state) {
    benchmark::DoNotOptimize(evpool::decode_datagram(datagram, frame));
  }
}
BENCHMARK(decode_datagram)->Arg(32)->Arg(1024);

// A chunk as a receive gives it, 64 KiB of whole frames; the time is for each frame.
void split_stream(benchmark::State& state) {
  const std::string frame = make_request(static_cast<std::size_t>(state.range(0)));
  std::string chunk;
  while (chunk.size() < (std::size_t{64} << 10U)) chunk += frame;
  evpool::FrameSplitter splitter(evpool::kDefaultMaxPayloadBytes);
  evpool::Frame split;
  std::int64_t frames = 0;
  for (auto _ : state) {
    splitter.push(chunk);
    while (splitter.next(split) == evpool::FrameSplitter::Item::frame) ++frames;
  }
  state.SetItemsProcessed(frames);
}
BENCHMARK(split_stream)->Arg(32)->Arg(1024);

}  // namespace
