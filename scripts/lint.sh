#!/usr/bin/env bash
# Everything that is checked without running the product. All checks run, so that one
# look shows all that is wrong.
set -uo pipefail
cd "$(dirname "$0")/.."

buf=(go tool -modfile=tools/buf/go.mod buf)
golangci=(go tool -modfile=tools/golangci/go.mod golangci-lint)
failed=()

check() { # check NAME COMMAND...
  echo "== $1"
  "${@:2}" || failed+=("$1")
}

# The API must not break those who use what is on main. Before main has a protocol
# there is nothing to break.
breaking() {
  local base ref
  for ref in origin/main main; do
    base=$(git merge-base HEAD "$ref" 2>/dev/null) && break
  done
  if [ -z "$base" ] || ! git cat-file -e "$base:proto/onedoor" 2>/dev/null; then
    echo "no protocol on main to compare with"
    return 0
  fi
  "${buf[@]}" breaking proto --against ".git#ref=$base,subdir=proto"
}

# Generates into an empty folder, so that a file that should be gone shows too. The
# overlay of the OpenAPI document is written by hand.
generated() {
  local dir status=0
  dir=$(mktemp -d)
  "${buf[@]}" generate -o "$dir" || status=1
  "${buf[@]}" generate --template buf.gen.python.yaml -o "$dir" || status=1
  for part in proto server/rest/gateway server/rest/openapi sdk-python/src/onedoor/v1; do
    diff -r --brief --exclude='*.proto' --exclude=overlay.json --exclude=__pycache__ "$dir/$part" "$part" || status=1
  done
  rm -rf "$dir"
  [ "$status" = 0 ] || echo "run 'make generate' and commit what it changes"
  return "$status"
}

formatted() {
  local files
  files=$(gofmt -l client proto server tests) || return 1
  [ -z "$files" ] || { echo "run gofmt -w on:"; echo "$files"; return 1; }
}

# Generates the SDK's messages, and checks it.
scripts/venv.sh || failed+=("the virtual environment")

check "buf lint" "${buf[@]}" lint
check "buf format" "${buf[@]}" format proto -d --exit-code
check "buf breaking" breaking
check "generated code" generated
check "gofmt" formatted
check "go vet, every KMS" go vet -tags kms_all ./server/vault/... ./tests/kms/...
# It vets too, by every analyzer of go vet.
check "golangci-lint" "${golangci[@]}" run
check "go mod tidy" go mod tidy -diff
check "ruff" .venv/bin/ruff check --no-cache --quiet sdk-python
check "ruff format" .venv/bin/ruff format --no-cache --check --quiet sdk-python
check "mypy" .venv/bin/mypy --cache-dir .cache/mypy --config-file sdk-python/pyproject.toml sdk-python/src
check "rules of the house" go test -count=1 ./tests/arch

if [ "${#failed[@]}" -gt 0 ]; then
  echo
  printf 'lint failed: %s\n' "${failed[@]}"
  exit 1
fi
