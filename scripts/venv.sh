#!/usr/bin/env bash
# Installs the Python packages of tests/requirements.txt in .venv, where they are not there
# already: what the tests run against, and what generates and checks the Python SDK.
set -euo pipefail
cd "$(dirname "$0")/.."

# The stamp is the list that was installed: a changed list installs anew.
cmp -s tests/requirements.txt .venv/requirements.txt && exit 0
if ! python3 -m venv .venv 2>/dev/null; then
  if ! command -v apt-get >/dev/null; then
    echo "install Python's venv by hand: there is no apt-get here" >&2
    exit 1
  fi
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv
  python3 -m venv .venv
fi
.venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
cp tests/requirements.txt .venv/requirements.txt
