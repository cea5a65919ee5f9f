#!/usr/bin/env bash
# No folder includes what it may not. Usage: includes_test.sh SOURCE
set -euo pipefail
cd "$1"

# folder: the folders it may include; then the libraries, as extended regular expressions.
declare -A folders=(
  [protocol]="protocol"
  [console]="console"
  [threadpool]="threadpool"
  [server]="server protocol threadpool"
  [client]="client protocol"
  [bench]="bench client console protocol threadpool"
)
declare -A libraries=(
  [protocol]=""
  [console]=""
  [threadpool]="boost/lockfree/"
  [server]="event2/|fmt/"
  [client]=""
  [bench]="fmt/"
)
# The programs' own sources may also use these.
programs='^(server/(main|daemon_options|log_writer)\.(cc|h)|client/(main|arguments|command_options|command_line|commands|map_command|outcome|output|session)\.(cc|h)|bench/([a-z_]+|pool/[a-z_]+)\.(cc|h))$'
# What the programs have in common is not for the libraries.
program_folders=console
# The last ones are the peers of the pool's benchmark.
program_libraries='fmt/|CLI/|nlohmann/|zlib\.h|benchmark/|boost/(asio|version)|concurrentqueue/|tbb/'
# POSIX and Linux headers, which belong to the system like the standard library's.
system='^(arpa|linux|net|netinet|sys)/|^(dirent|fcntl|malloc|netdb|poll|pthread|sched|signal|spawn|stddef|stdint|time|unistd)\.h$|^[a-z_]+$'

failures=0
complain() { echo "$1"; failures=$((failures + 1)); }

for folder in "${!folders[@]}"; do
  while read -r file; do
    allowed=${libraries[$folder]}
    allowed_folders=${folders[$folder]}
    if [[ $file =~ $programs ]]; then
      allowed="${allowed:+$allowed|}$program_libraries"
      allowed_folders+=" $program_folders"
    fi
    while read -r included; do
      [[ $included =~ $system ]] && continue
      [[ -n $allowed && $included =~ ^($allowed) ]] && continue
      complain "$file includes <$included>, which $folder/ may not"
    done < <(sed -nE 's/^#include <([^>]+)>.*/\1/p' "$file")
    while read -r included; do
      [[ $included == */* ]] || continue
      target=${included#../}
      target=${target%%/*}
      [[ " $allowed_folders " == *" $target "* ]] && continue
      complain "$file includes \"$included\", which $folder/ may not"
    done < <(sed -nE 's/^#include "([^"]+)".*/\1/p' "$file")
  done < <(find "$folder" -name '*.h' -o -name '*.cc')
done

# protocol/ is pure: no sockets, no threads.
if grep -nE '^#include <(sys/|netinet/|arpa/|thread|mutex|atomic|unistd)' protocol/*; then
  complain "protocol/ must know no sockets and no threads"
fi
exit $((failures > 0))
