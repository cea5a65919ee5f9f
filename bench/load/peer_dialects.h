// How the generator speaks to the servers that evpool is compared with. TCP unless said. Timeouts
// and priorities stay behind: the peers have none, or none for what is asked of them here.
#pragma once

#include <memory>
#include <string>

#include "bench/load/dialect.h"

namespace evpool::bench {

// redis' ECHO: whatever the request's job, the reply is its payload, so only `echo` is verified
// rightly. An error of redis is `failed`, a nil `not_found`. No ids: replies come in order.
[[nodiscard]] std::unique_ptr<Dialect> make_redis_dialect();

// memcached's text protocol: each connection stores `value` under the key "evpool" and then gets it
// with every request, whose job and payload do not matter. Use a job that is not verified: the
// reader itself compares each reply with `value`, and takes another one for nonsense. A miss is
// `not_found`, an error `failed`. No ids: replies come in order.
[[nodiscard]] std::unique_ptr<Dialect> make_memcached_dialect(std::string value);

// The same over UDP, where nothing stores `value`: it must be there, and fit a single datagram of
// memcached's. Another datagram than a reply with it is none.
[[nodiscard]] std::unique_ptr<Dialect> make_memcached_udp_dialect(std::string value);

// gearmand's binary protocol: a request is a foreground job of the function with its job's name.
// The payload goes out behind the request's id as 16 hexadecimal digits, and a worker must put the
// same digits before the result (GearmanWorker does, for `upper`). A job that a worker gave up, and
// an error of gearmand's, name no request: the reader throws.
[[nodiscard]] std::unique_ptr<Dialect> make_gearman_dialect();

}  // namespace evpool::bench
