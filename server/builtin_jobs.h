// The jobs evpoold comes with: echo, upper, sleep, spin, fail, and jobs, which lists them all.
#pragma once

#include "handlers.h"

namespace evpool {

// Adds echo, upper, sleep, spin and fail. Throws as Handlers::add does.
void add_builtin_jobs(Handlers& handlers);

// Adds `jobs`, which answers with the list of what `handlers` holds when this is called, and
// itself.
void add_jobs_list(Handlers& handlers);

}  // namespace evpool
