// evpool-udp-floor: the least that a server can do for jobs that arrive over UDP. One thread
// receives a batch of datagrams, upper-cases them in place and sends them back as a batch. With
// --offload, datagrams of one peer and size go through the kernel as one buffer.
//
// It leaves out: frames, queues, bounds, deadlines, workers, counting what was lost, and noticing a
// datagram that is longer than its buffer, which is cut.
#include "bench/floors/datagram_batch.h"
#include "bench/floors/floor.h"

int main(int argc, char** argv) {
  using namespace evpool::bench;
  const FloorOptions options = parse_floor_options({argv, static_cast<std::size_t>(argc)});
  const int socket = make_udp_socket(options);
  static DatagramBatch batch;
  batch.allocate(datagram_bytes(options));
  announce("udp", socket);
  for (;;) {
    batch.receive(socket);
    batch.upper_case_all();
    batch.send(socket);
  }
}
