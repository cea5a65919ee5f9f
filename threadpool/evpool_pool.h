/* The pool for C, and for any language with a foreign-function interface. thread_pool.h says more
 * of what holds here too: threads, bounds, order, fork.
 *
 * Calls that can fail return 0 or an errno value: EINVAL, and nothing is done, where `pool`, `run`
 * or `statistics` is NULL, a priority is none, or a struct_bytes is not set or ends within a
 * member. Any thread may call anything at any time, but for evpool_pool_destroy, which must be the
 * last call. */
#ifndef EVPOOL_THREADPOOL_EVPOOL_POOL_H
#define EVPOOL_THREADPOOL_EVPOOL_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct timespec; /* POSIX's: strict C99 has none */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct evpool_pool evpool_pool;

/* 0 in any member but struct_bytes stands for the default. */
struct evpool_pool_options {
  size_t struct_bytes;     /* sizeof(struct evpool_pool_options): later versions add members */
  size_t workers;          /* 1 to 1024; default: the CPUs that this process may use */
  size_t capacity_tasks;   /* 1 to 16777216, of each priority; default 1024 */
  const char* thread_name; /* the kernel shows the first 15 bytes; default "worker" */
  size_t stack_bytes;      /* default the process's */
};

enum evpool_priority { EVPOOL_NORMAL = 0, EVPOOL_HIGH = 1, EVPOOL_LOW = 2 };

struct evpool_pool_statistics {
  size_t struct_bytes; /* set by the caller: sizeof(struct evpool_pool_statistics) */
  uint64_t queued;     /* waiting now; cancelled ones too, until somebody needs their place */
  uint64_t high_water; /* the most that have waited at once, of one priority */
  uint64_t executed;
  uint64_t discarded; /* handed to their discard function */
  uint64_t refused;   /* not added, for whichever reason */
  uint64_t parks;     /* times that a worker went to sleep */
  uint64_t wakes;     /* times that one was woken for a task */
  uint64_t spurious_wakes;
  uint64_t cancelled; /* found cancelled, or of no use: tasks of C++ futures and groups */
  /* Of every 256th task of the shared queues: from added to taken, and while it ran. */
  uint64_t queue_time_samples;
  uint64_t queue_time_total_ns;
  uint64_t queue_time_max_ns;
  uint64_t run_time_samples;
  uint64_t run_time_total_ns;
  uint64_t run_time_max_ns;
};

/* Makes a pool, whole or not at all: then *pool is NULL. `options` may be NULL. EINVAL: an option
 * is out of range, or as above; else the errno of the step that failed, such as EAGAIN for a thread
 * and ENOMEM for memory. A sentence that names the step is written to `error`, if it is not NULL:
 * `error_bytes` at most, with its 0. */
int evpool_pool_create(const struct evpool_pool_options* options, evpool_pool** pool, char* error,
                       size_t error_bytes);

/* Adds run(argument). Never blocks. From 0 on, exactly one of `run` and `discard` will be called
 * with `argument`; `discard` may be NULL. EAGAIN: as many as may are waiting; ECANCELED: the pool
 * is draining; ESHUTDOWN: it is stopped. `run` must not throw, and must not end its thread
 * (pthread_exit, pthread_cancel): that aborts the process. */
int evpool_pool_add(evpool_pool* pool, void (*run)(void* argument), void (*discard)(void* argument),
                    void* argument, enum evpool_priority priority);

/* The same, but while the queue is full waits for room, until CLOCK_MONOTONIC is `deadline`:
 * ETIMEDOUT. `deadline` may be NULL: for ever. In a task of the same pool EDEADLK, at once. */
int evpool_pool_add_until(evpool_pool* pool, void (*run)(void* argument),
                          void (*discard)(void* argument), void* argument,
                          enum evpool_priority priority, const struct timespec* deadline);

/* Accepts nothing more, runs what was accepted, and ends the workers. `deadline` may be NULL: for
 * ever. ETIMEDOUT: it passed, the tasks go on, and evpool_pool_drain or _stop must follow. EDEADLK:
 * in a task of the same pool; nothing is done. Beyond the deadline it waits only for what the
 * workers' threads do at their very end, such as destructors of thread_local variables. */
int evpool_pool_drain(evpool_pool* pool, const struct timespec* deadline);

/* Accepts nothing more, finishes what is running, discards the rest, and ends the workers. EDEADLK
 * as above. */
int evpool_pool_stop(evpool_pool* pool);

/* Fills in the members that struct_bytes covers. `executed` may be a moment behind what a task has
 * told another thread by its last act. */
int evpool_pool_get_statistics(const evpool_pool* pool, struct evpool_pool_statistics* statistics);

/* Stops the pool and frees it. In one of its own tasks it returns when all other workers have
 * ended. NULL is allowed. */
void evpool_pool_destroy(evpool_pool* pool);

#ifdef __cplusplus
}
#endif

#endif
