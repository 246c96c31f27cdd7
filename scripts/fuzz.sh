#!/usr/bin/env bash
# Runs every fuzz target of the tree for the given time each (default 5m). A finding is
# written below the package's testdata/fuzz: commit it with the repair.
set -uo pipefail
cd "$(dirname "$0")/.."

time=${1:-5m}
failed=()
count=0
while IFS=: read -r file target; do
  package=./$(dirname "$file")
  count=$((count + 1))
  echo "== fuzz $target in $package for $time"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" | tail -n 20 || failed+=("$package $target")
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
