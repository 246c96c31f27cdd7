#!/usr/bin/env bash
# Installs what the tests run against, where it is missing: PostgreSQL from Debian (the
# tests start a private cluster themselves), the Python packages of
# tests/requirements.txt in .venv, and in .node a package for Node (20 or newer). Set
# ONEDOOR_NO_POSTGRES=1 to go without PostgreSQL.
set -euo pipefail
cd "$(dirname "$0")/.."

install() {
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  if ! command -v apt-get >/dev/null; then
    echo "install $* by hand: there is no apt-get here" >&2
    exit 1
  fi
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

have_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}
if [ "${ONEDOOR_NO_POSTGRES:-}" != 1 ] && ! have_postgres; then
  install postgresql
fi

# The README's commands are run as they stand there.
command -v curl >/dev/null || install curl

# The stamp is the list that was installed: a changed list installs anew.
if ! cmp -s tests/requirements.txt .venv/requirements.txt; then
  python3 -m venv .venv 2>/dev/null || { install python3-venv; python3 -m venv .venv; }
  .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt .venv/requirements.txt
fi

# One package without dependencies: pinned here, as a lock file would name a registry.
jose=6.2.18
if [ "$(cat .node/jose 2>/dev/null)" != "$jose" ]; then
  command -v npm >/dev/null || install npm
  npm install --silent --prefix .node --no-save --no-package-lock --no-audit --no-fund "jose@$jose"
  echo "$jose" >.node/jose
fi
