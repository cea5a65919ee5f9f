#include "server/libevent_log.h"

#include <event2/event.h>

#include <cstdio>

namespace evpool {
namespace {

thread_local const Log* log_of_this_thread = nullptr;
thread_local LineLimit lines_of_this_thread;

LogLevel level_of(int severity) {
  switch (severity) {
    case EVENT_LOG_DEBUG:
      return LogLevel::debug;
    case EVENT_LOG_MSG:
      return LogLevel::info;
    case EVENT_LOG_WARN:
      return LogLevel::warning;
    default:
      return LogLevel::error;
  }
}

void take_line(int severity, const char* text) {
  if (log_of_this_thread == nullptr) {
    static_cast<void>(std::fprintf(stderr, "libevent: %s\n", text));
  } else if (lines_of_this_thread.allow()) {
    (*log_of_this_thread)(level_of(severity), "libevent: {} ({} such lines unlogged)", text,
                          lines_of_this_thread.suppressed());
  }
}

}  // namespace

void send_libevent_log_to_servers() { event_set_log_callback(take_line); }

LibeventLogScope::LibeventLogScope(const Log& log) : before_(log_of_this_thread) {
  log_of_this_thread = &log;
}

LibeventLogScope::~LibeventLogScope() { log_of_this_thread = before_; }

void use_libevent_log_until_thread_ends(const Log& log) { log_of_this_thread = &log; }

}  // namespace evpool
