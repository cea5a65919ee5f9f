#include "bench/load/account.h"

namespace evpool::bench {

void Account::add(const Account& other) {
  scheduled += other.scheduled;
  skipped += other.skipped;
  sent += other.sent;
  ok += other.ok;
  for (std::size_t i = 0; i < refused.size(); ++i) refused[i] += other.refused[i];
  wrong += other.wrong;
  lost += other.lost;
  unresolved += other.unresolved;
  duplicates += other.duplicates;
  late += other.late;
  unknown += other.unknown;
  malformed += other.malformed;
  kernel_drops += other.kernel_drops;
  impaired_drops += other.impaired_drops;
  impaired_duplicates += other.impaired_duplicates;
  impaired_reorders += other.impaired_reorders;
  reconnects += other.reconnects;
  failed_connects += other.failed_connects;
  connections_lost += other.connections_lost;
}

}  // namespace evpool::bench
