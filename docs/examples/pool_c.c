/* The pool from C: create, add, drain, destroy. */
#include <errno.h>
#include <evpool/threadpool/evpool_pool.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_long sum;

static void add_to_sum(void* argument) { atomic_fetch_add(&sum, *(const long*)argument); }

int main(void) {
  const struct evpool_pool_options options = {
      .struct_bytes = sizeof(options), .workers = 4, .capacity_tasks = 1000};
  evpool_pool* pool = NULL;
  char error[200];
  if (evpool_pool_create(&options, &pool, error, sizeof(error)) != 0) {
    fprintf(stderr, "%s\n", error);
    return 1;
  }
  static long numbers[1000];
  for (int i = 0; i < 1000; ++i) {
    numbers[i] = i + 1;
    /* EAGAIN: 1000 tasks wait; try again later, or say no. */
    if (evpool_pool_add(pool, add_to_sum, NULL, &numbers[i], EVPOOL_NORMAL) != 0) return 1;
  }
  evpool_pool_drain(pool, NULL);
  struct evpool_pool_statistics statistics = {.struct_bytes = sizeof(statistics)};
  evpool_pool_get_statistics(pool, &statistics);
  evpool_pool_destroy(pool);
  printf("%llu tasks, sum %ld\n", (unsigned long long)statistics.executed, sum);
  return sum == 500500 ? 0 : 1;
}
