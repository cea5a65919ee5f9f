// Must not compile, and the compiler must say why: tests/CMakeLists.txt holds the sentence.
#include <utility>

#include "threadpool/future.h"

int main() {
  const auto pool = evpool::ThreadPool::create({.workers = 1});
  int value = 1;
  return evpool::submit(*pool, [&value]() -> int&& { return std::move(value); }).future.get();
}
