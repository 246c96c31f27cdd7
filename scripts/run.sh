#!/usr/bin/env bash
# Runs a development broker until Ctrl-C, and says what to paste into another terminal.
# Its data stays in .dev, or in the folder that is given as the first argument.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(realpath -m "${1:-.dev}")
broker=

cleanup() {
  trap - EXIT
  if [ -n "$broker" ]; then
    kill "$broker" 2>/dev/null || true
    wait "$broker" 2>/dev/null || true
  fi
}
trap cleanup EXIT
trap 'exit 0' INT TERM

"${MAKE:-make}" --no-print-directory build

# The broker says "ready" on its output; its log goes to this terminal.
exec {lines}< <(exec bin/onedoord dev --dir "$dir")
broker=$!
ready=
while read -r line <&"$lines"; do
  if [ "$line" = ready ]; then
    ready=yes
    break
  fi
done
if [ "$ready" != yes ]; then
  echo "The broker did not become ready; its log above says why." >&2
  exit 1
fi

cat <<TEXT

The broker runs, with its data in $dir. Ctrl-C stops it; the next start goes on with it.
Paste into another terminal:

  source ${dir@Q}/env
  export PATH=${PWD@Q}/bin:\$PATH

  # The orchestrator mints a task for sandbox one, and the sandbox gets its key.
  export ONEDOOR_TASK_KEY=\$(SPIFFE_ENDPOINT_SOCKET=\$ONEDOOR_ORCHESTRATOR_SOCKET onedoor -o json task create \\
    --agent me --user alice --sandbox "\$ONEDOOR_SANDBOX_ID" --delegate "\$ONEDOOR_SANDBOX2_ID" --ttl 1h \\
    --grant 'crm: contacts.get,contacts.update WRITE contact:*' \\
    --grant 'model: chat.completions READ model:*' | sed -n 's/^  "taskKey": "\(.*\)",\$/\1/p')

  # From here on this terminal is the sandbox.
  export SPIFFE_ENDPOINT_SOCKET=\$ONEDOOR_SANDBOX_SOCKET
  onedoor tools
  onedoor invoke crm contacts.get --arg id=42
  onedoor invoke crm contacts.update --arg id=42 --arg company=Acme
  onedoor invoke crm contacts.delete --arg id=42    # refused
  onedoor invoke --stream model chat.completions \\
    --json '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

  # bob connects an account of his own: open the link in a browser on this machine.
  SPIFFE_ENDPOINT_SOCKET=\$ONEDOOR_OPERATOR_SOCKET onedoor credential connect crm --user bob

  # The operator reads the audit trail.
  SPIFFE_ENDPOINT_SOCKET=\$ONEDOOR_OPERATOR_SOCKET onedoor audit list --limit 10

TEXT
wait "$broker"
