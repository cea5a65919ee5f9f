#include "bench/series_watch.h"

#include <stdexcept>

#include "bench/interrupts.h"

namespace evpool::bench {

std::string SeriesWatch::run(const std::function<void()>& measure) {
  const Interrupts interrupts(control_.stop_requests, Interrupts::Second::ends_the_process);
  try {
    measure();
    return {};
  } catch (const std::invalid_argument&) {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

void SeriesWatch::check() const {
  if (control_.stop_requests.load() > 0) throw std::runtime_error("interrupted");
}

}  // namespace evpool::bench
