// The jobs evpoold comes with: echo, upper, sleep, spin, fail; stats, which tells what the server
// has counted; and jobs, which lists them all.
#pragma once

#include <functional>

#include "handlers.h"
#include "statistics.h"

namespace evpool {

// Adds echo, upper, sleep, spin and fail. Throws as Handlers::add does.
void add_builtin_jobs(Handlers& handlers);

// Adds `stats`, which answers with a line "name value" for each count, in the order of
// statistics.h. The request that asks is received by then, and has no outcome yet.
//
// `statistics` is called on the workers. It is to ask a server that cannot exist yet; no job runs
// before that server's run() does, so a pointer set before run() is set in time:
//
//   const evpool::Server* serving = nullptr;
//   evpool::add_statistics_job(handlers, [&serving] { return serving->statistics(); });
//   evpool::Server server(options, std::move(handlers));
//   serving = &server;
//   server.run();
void add_statistics_job(Handlers& handlers, std::function<Statistics()> statistics);

// Adds `jobs`, which answers with the list of what `handlers` holds when this is called, and
// itself.
void add_jobs_list(Handlers& handlers);

}  // namespace evpool
