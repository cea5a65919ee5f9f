/* That this compiles, as C99, is most of the test; evpool_pool_test.cc calls it for the rest: that
 * the names are C's also where they are defined. */
#include "threadpool/evpool_pool.h"

int evpool_pool_header_is_c(void);

static void set_to_one(void* argument) { *(int*)argument = 1; }

int evpool_pool_header_is_c(void) {
  const struct evpool_pool_options options = {.struct_bytes = sizeof(options), .workers = 2};
  const struct timespec past = {0};
  struct evpool_pool_statistics statistics = {.struct_bytes = sizeof(statistics)};
  evpool_pool* pool = NULL;
  char error[100];
  int run[3] = {0};
  int ok = evpool_pool_create(&options, &pool, error, sizeof(error)) == 0;
  if (!ok) return 0;
  ok = ok && evpool_pool_add(pool, set_to_one, NULL, &run[0], EVPOOL_NORMAL) == 0;
  ok = ok && evpool_pool_add(pool, set_to_one, NULL, &run[1], EVPOOL_LOW) == 0;
  ok = ok && evpool_pool_add_until(pool, set_to_one, NULL, &run[2], EVPOOL_HIGH, &past) == 0;
  ok = ok && evpool_pool_drain(pool, NULL) == 0 && evpool_pool_stop(pool) == 0;
  ok = ok && evpool_pool_get_statistics(pool, &statistics) == 0 && statistics.executed == 3;
  evpool_pool_destroy(pool);
  return ok && run[0] + run[1] + run[2] == 3;
}
