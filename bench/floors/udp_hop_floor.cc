// evpool-udp-hop-floor: the udp floor plus the least that a server with workers must add, one
// hand-over to another thread. The receiver receives a batch of datagrams straight into a slot of a
// ring; one worker upper-cases them and sends them back as a batch. --offload as there.
//
// It leaves out what the udp floor leaves out, and more than one worker.
#include <thread>

#include "bench/floors/datagram_batch.h"
#include "bench/floors/floor.h"
#include "bench/floors/spsc_ring.h"

namespace evpool::bench {
namespace {

// Few, so that their memory stays in the cache: a batch holds 64 datagrams. What does not fit waits
// in the socket, and then makes larger batches.
using Ring = SpscRing<DatagramBatch, 16>;

[[noreturn]] void run_receiver(Ring& ring, int socket, std::size_t bytes_each) {
  for (;;) {
    DatagramBatch& batch = ring.claim();
    if (!batch.allocated()) batch.allocate(bytes_each);
    batch.receive(socket);
    ring.publish();
  }
}

[[noreturn]] void run_worker(Ring& ring, int socket) {
  for (;;) {
    DatagramBatch& batch = ring.front();
    batch.upper_case_all();
    batch.send(socket);
    ring.pop();
  }
}

}  // namespace
}  // namespace evpool::bench

int main(int argc, char** argv) {
  using namespace evpool::bench;
  const FloorOptions options = parse_floor_options({argv, static_cast<std::size_t>(argc)});
  const int socket = make_udp_socket(options);
  Ring ring;
  const std::jthread worker([&ring, socket] { run_worker(ring, socket); });
  announce("udp", socket);
  run_receiver(ring, socket, datagram_bytes(options));
}
