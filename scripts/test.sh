#!/usr/bin/env bash
# All tests under the race detector, then every fuzz target for some seconds. What ran,
# what was skipped, and which stores and counterparts took part is said at the end and
# kept in .cache/tests.txt.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache

# Anew each time: the go command does not see all that these tests depend on. SQLite, which
# is C that a program has turned into Go, goes without the race detector's checks of pointers:
# with them it takes twice as long, and most tests open a database. It cannot go without the
# detector (-race=false) while the rest has it: packages share the code of generic types, and
# where the linker takes SQLite's copy of an atomic's, races are seen that are none.
run=(go test -count=1 -timeout 20m -race "-gcflags=modernc.org/...=-d=checkptr=0" -json)
all=$(go list ./...) || exit 1
status=0
{
  "${run[@]}" $(grep -v '/tests/' <<<"$all") || status=1
  # The attacks flood brokers: alone, so that nothing else is judged by what they take.
  "${run[@]}" ./tests/attack || status=1
  "${run[@]}" $(grep '/tests/' <<<"$all" | grep -v '/tests/attack$') || status=1
  # The packages of each KMS are linked on demand: once here, all of them.
  "${run[@]}" -tags kms_all ./server/vault/... ./tests/kms/... || status=1
} >.cache/tests.json
go run ./tests/report .cache/tests.json | tee .cache/tests.txt || status=1

scripts/fuzz.sh "${FUZZTIME:-2s}" || status=1
exit "$status"
