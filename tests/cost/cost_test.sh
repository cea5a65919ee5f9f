#!/usr/bin/env bash
# A job must not become dearer unseen: system calls, allocations and instructions for each job of a
# fixed scenario, against the numbers in expected.txt. No clock takes part.
# usage: cost_test.sh SOURCE_DIR COST_SCENARIO
set -euo pipefail
expected=$1/tests/cost/expected.txt
scenario=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Waiting for the worker between the rounds, in wait_until_worker_sleeps by pread64, is not counted.

# What a run of so many rounds counts; of two lengths the difference is what the rounds cost.
short=1000
long=3000
jobs=$(((long - short) * 16))

# shellcheck disable=SC2317  # called by their names, which stand in expected.txt
allocations() { "$scenario" "$1" "$2" | sed -n 's/^allocations //p'; }
# shellcheck disable=SC2317
system_calls() {
  strace -f -c -e 'trace=!pread64' -o "$scratch/calls" "$scenario" "$1" "$2" >"$scratch/out"
  awk '$NF == "total" { print $4 }' "$scratch/calls"
}
# shellcheck disable=SC2317
instructions() {
  valgrind --tool=callgrind --callgrind-out-file="$scratch/callgrind" \
    --toggle-collect='*wait_until_worker_sleeps*' --collect-atstart=yes \
    "$scenario" "$1" "$2" >"$scratch/out" 2>&1
  sed -n 's/^summary: //p' "$scratch/callgrind"
}

status=0
while read -r transport count each tolerance; do
  case $transport in '' | '#') continue ;; esac
  of_short=$("$count" "$transport" "$short")
  of_long=$("$count" "$transport" "$long")
  awk -v cost=$((of_long - of_short)) -v jobs="$jobs" -v each="$each" -v tolerance="$tolerance" \
    -v what="$transport $count" 'BEGIN {
      measured = cost / jobs
      good = measured <= each + tolerance && measured >= each - tolerance
      verdict = measured > each ? ": DEARER" : ": cheaper; let expected.txt follow"
      printf("%s each job: %.4f, expected %s +- %s%s\n", what, measured, each, tolerance,
             good ? "" : verdict)
      exit !good
    }' || status=1
done <"$expected"
exit $status
