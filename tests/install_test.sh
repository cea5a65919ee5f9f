#!/usr/bin/env bash
# Another project builds against the installed package and runs: the examples of docs/examples, with
# nothing but find_package(evpool). Usage: install_test.sh SOURCE BUILD CXX
set -euo pipefail
source=$1
build=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

quietly() { "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log"; return 1; }; }

quietly cmake --install "$build" --prefix "$scratch/prefix"
cp -r "$source/docs/examples" "$scratch/outside"
quietly cmake -S "$scratch/outside" -B "$scratch/outside/build" -G Ninja \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCMAKE_CXX_COMPILER="$3"
quietly cmake --build "$scratch/outside/build"

for example in pool pool_futures pool_c server server_signals client; do
  echo "--- $example"
  timeout 60 "$scratch/outside/build/$example"
done
for program in evpoold evpool evpool-bench; do
  "$scratch/prefix/bin/$program" --help >/dev/null
done

# The bench tool finds evpoold and the floor programs, wherever the installation has put them.
if [ -x "$scratch/prefix/bin/evpool-bench" ]; then
  echo "--- floors"
  for row in tcp-1x1 udp-1x1; do
    status=0
    timeout 120 "$scratch/prefix/bin/evpool-bench" floors --row "$row" --rounds 1 \
      --duration 20ms >"$scratch/log" 2>&1 || status=$?
    # 3: this machine was too busy for the figures to be believed.
    if { [ "$status" -ne 0 ] && [ "$status" -ne 3 ]; } || ! grep -q '1 row: evpool/hop' "$scratch/log"
    then
      cat "$scratch/log"
      exit 1
    fi
  done
fi
