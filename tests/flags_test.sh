#!/usr/bin/env bash
# The documents name the flags that the programs have, and only those.
# Usage: flags_test.sh SOURCE BIN
set -euo pipefail
source=$1
bin=$2
failures=0

flags_in() { grep -oE -- '--[a-z][a-z-]+' | sort -u; }

help_of() {
  case $1 in
    evpoold) "$bin/evpoold" --help ;;
    evpool) "$bin/evpool" --help-all ;;
    evpool-bench) "$bin/evpool-bench" --help-all ;;
  esac
}

# Each program's flags are all described in its manual: the lines of its table start with "| `--".
check_manual() {
  local program=$1 manual=$2
  local helped described
  helped=$(help_of "$program" | flags_in | grep -vxE -- '--help(-all)?' || true)
  # shellcheck disable=SC2016  # the backquotes are Markdown's
  described=$(sed -n "/^## $program\$/,/^## /p" "$source/docs/$manual" | grep -E '^\| `--' |
    sed -E 's/^\| `([^`]*)`.*/\1/' | flags_in || true)
  if [ "$helped" != "$described" ]; then
    echo "$program: --help (<) and docs/$manual (>) differ:"
    diff <(echo "$helped") <(echo "$described") || true
    failures=$((failures + 1))
  fi
}
check_manual evpoold operations.md
check_manual evpool operations.md
check_manual evpool-bench operations.md

# Every flag that any document gives to one of the programs exists.
known=$({ help_of evpoold; help_of evpool; help_of evpool-bench; } | flags_in)
while IFS=: read -r file line; do
  while read -r flag; do
    grep -qxF -- "$flag" <<<"$known" && continue
    echo "$file: no program has $flag: $line"
    failures=$((failures + 1))
  done < <(flags_in <<<"$line")
done < <(grep -HE '(evpoold|evpool|evpool-bench) .*--[a-z]' "$source/README.md" "$source"/docs/*.md |
  grep -vE 'cmake|evpool-microbench' | sed "s|^$source/||")
exit $((failures > 0))
