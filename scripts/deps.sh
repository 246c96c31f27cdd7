#!/usr/bin/env bash
# Installs what the tests run against, where it is missing: PostgreSQL from Debian (the
# tests start a private cluster themselves), the Python packages of
# tests/requirements.txt in .venv, mitmproxy in .mitmproxy, those of tests/packages.txt for
# Node (20 or newer) in .node, those of tests/jars.txt for Java (17 or newer) in .java,
# Chromium, squid, and the shells that complete our commands. Set ONEDOOR_NO_POSTGRES=1 to go without PostgreSQL.
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

# The shells whose completion is tried in them.
shells=()
for shell in zsh fish; do
  command -v "$shell" >/dev/null || shells+=("$shell")
done
[ "${#shells[@]}" = 0 ] || install "${shells[@]}"

scripts/venv.sh

# The stamp is the list that was installed: a changed list installs anew.
# mitmproxy pins older versions of what stands in tests/requirements.txt, so it lives apart.
if ! cmp -s tests/mitmproxy.txt .mitmproxy/mitmproxy.txt; then
  python3 -m venv .mitmproxy
  .mitmproxy/bin/pip install --quiet --disable-pip-version-check -r tests/mitmproxy.txt
  cp tests/mitmproxy.txt .mitmproxy/mitmproxy.txt
fi

# The build that speaks TLS to its clients. The tests start their own: the one that Debian
# would run from now on is told not to.
if [ ! -x /usr/sbin/squid ] && ! command -v squid >/dev/null; then
  install squid-openssl
  if [ -d /run/systemd/system ]; then
    if [ "$(id -u)" = 0 ]; then systemctl disable --now squid; else sudo systemctl disable --now squid; fi
  fi
fi

# The browser in which accounts are connected, as a person would.
command -v chromium >/dev/null || install chromium

# Pinned in tests/packages.txt, as a lock file would name a registry.
if ! cmp -s tests/packages.txt .node/packages.txt; then
  command -v npm >/dev/null || install npm
  xargs npm install --silent --prefix .node --no-save --no-package-lock --no-audit --no-fund <tests/packages.txt
  cp tests/packages.txt .node/packages.txt
fi

# Each is copied alone: none of them needs another.
if ! cmp -s tests/jars.txt .java/jars.txt; then
  command -v javac >/dev/null || install default-jdk-headless
  command -v mvn >/dev/null || install maven
  rm -rf .java
  while read -r jar; do
    mvn --batch-mode --quiet org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
      -Dartifact="$jar" -DoutputDirectory=.java </dev/null
  done <tests/jars.txt
  cp tests/jars.txt .java/jars.txt
fi
