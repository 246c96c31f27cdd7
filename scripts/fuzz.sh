#!/usr/bin/env bash
# Runs every fuzz target of the tree for the given time each (default 5m). A finding is
# written below the package's testdata/fuzz: commit it with the repair.
set -uo pipefail
cd "$(dirname "$0")/.."

time=${1:-5m}
failed=()
count=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run() { # TARGET PACKAGE
  go test -run '^$' -fuzz "^$1\$" -fuzzminimizetime 1s -fuzztime "$time" "$2" >"$log" 2>&1
  local status=$?
  tail -n 20 "$log"
  return $status
}

# Until Go 1.27 the end of -fuzztime can itself be reported as the target's failure
# (go.dev/issue/75804): such a failure says this one line and leaves no input behind.
# A target that hangs says so too, therefore it is run again and not forgiven.
ended_badly() {
  [ "$(grep -A1 -- '^--- FAIL: Fuzz' "$log" | sed 1d)" = '    context deadline exceeded' ] &&
    ! grep -q 'Failing input written to' "$log"
}

while IFS=: read -r file target; do
  package=./$(dirname "$file")
  count=$((count + 1))
  echo "== fuzz $target in $package for $time"
  run "$target" "$package" && continue
  if ended_badly; then
    echo "== fuzz $target once more: the time ran out while it ended"
    run "$target" "$package" && continue
  fi
  failed+=("$package $target")
done < <(grep -roHE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' client server tests | sed 's/func //' | sort)

if [ "$count" = 0 ]; then
  echo "no fuzz target was found"
  exit 1
fi
if [ "${#failed[@]}" -gt 0 ]; then
  printf 'fuzzing failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "$count fuzz targets ran for $time each"
