#!/usr/bin/env bash
# From a fresh clone to a first credentialed call, in a folder that is gone afterwards.
# Every command is shown with what it prints, and every result is checked: an exit
# status other than 0 means that something was not as it should be.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/onedoor-demo.XXXXXX")
dir=$work/dev           # the broker's folder
got=$work/sandbox.txt   # everything that the sandbox gets to see
broker=

cleanup() {
  local status=$?
  trap - EXIT
  if [ -n "$broker" ]; then
    kill "$broker" 2>/dev/null || true
    wait "$broker" 2>/dev/null || true
  fi
  rm -rf "$work"
  [ "$status" = 0 ] || echo "The demo FAILED." >&2
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title() { printf '\n== %s\n' "$1"; }
say() { printf '   %s\n' "$@"; }

fail() {
  printf 'NOT AS IT SHOULD BE: %s\n' "$1" >&2
  if [ -s "$work/log" ]; then
    echo "The end of the broker's log:" >&2
    tail -n 20 "$work/log" >&2
  fi
  exit 1
}

# word quotes as a person would: only where a shell needs it.
word() { if [[ $1 =~ ^[A-Za-z0-9_./:=,@-]+$ ]]; then printf '%s' "$1"; else printf '%s' "${1@Q}"; fi; }

# as WHO COMMAND...: shows the command, runs it with WHO's identity, shows what it
# prints and keeps that in $out and its exit status in $code.
as() {
  local who=$1 line='' arg
  local -a env=("SPIFFE_ENDPOINT_SOCKET=${sockets[$who]}")
  shift
  if [[ $who == sandbox* ]]; then env+=("ONEDOOR_TASK_KEY=$key"); fi
  for arg in "$@"; do line+=" $(word "$arg")"; done
  printf '\n%s$%s\n' "$who" "$line"
  code=0
  env "${env[@]}" "$@" >"$work/out" 2>&1 || code=$?
  out=$(cat "$work/out")
  if [[ $who == sandbox* ]]; then cat "$work/out" >>"$got"; fi
  # The task key is a secret like any other, so it is not shown in full.
  sed -E 's/(od1t_[0-9A-Za-z]{4})[0-9A-Za-z]+/\1…/' "$work/out"
}

# must CODE TEXT: the last command ended with CODE and printed TEXT.
must() {
  [ "$code" = "$1" ] || fail "the command ended with exit status $code, not $1"
  [[ $out == *"$2"* ]] || fail "the command's output lacks: $2"
}

title "Build bin/onedoord, the broker, and bin/onedoor, the CLI"
"${MAKE:-make}" --no-print-directory build
export PATH=$PWD/bin:$PATH

title "Start a broker with everything in one folder"
say "\$ onedoord dev --dir $dir" \
  "SQLite, a SPIFFE authority, upstreams over TLS that demand credentials (a CRM with" \
  "an OAuth provider of its own, a model, a payroll), their connectors, and those" \
  "credentials, sealed in the broker's store."
exec {lines}< <(exec onedoord dev --dir "$dir" 2>"$work/log")
broker=$!
ready=
while read -r line <&"$lines"; do
  say "$line"
  if [ "$line" = ready ]; then
    ready=yes
    break
  fi
done
[ "$ready" = yes ] || fail "the broker did not become ready"
# shellcheck source=/dev/null
source "$dir/env"
declare -A sockets=(
  [orchestrator]=$ONEDOOR_ORCHESTRATOR_SOCKET [operator]=$ONEDOOR_OPERATOR_SOCKET
  [sandbox]=$ONEDOOR_SANDBOX_SOCKET [sandbox2]=$ONEDOOR_SANDBOX2_SOCKET
)
key=

title "1. The orchestrator mints a task: one agent, one user, one sandbox, three grants"
as orchestrator onedoor task create --agent mailer --user alice --sandbox "$ONEDOOR_SANDBOX_ID" --ttl 15m \
  --grant 'crm: contacts.get READ contact:42' --grant 'model: chat.completions READ model:demo calls=1' \
  --grant 'payroll: payslip.get READ payslip:alice'
must 0 'ONEDOOR_TASK_KEY=od1t_'
key=${out##*ONEDOOR_TASK_KEY=}
task=$(sed -n 's/^TASK *//p' "$work/out")

title "2. The sandbox holds its SVID and that key, and nothing else"
as sandbox onedoor tools
must 0 contacts.get

title "3. One door, three identities, and the sandbox has none of them"
say "The CRM demands alice's own OAuth token. It lives for a minute; the broker refreshes it, once."
as sandbox onedoor invoke crm contacts.get --arg id=42
must 0 '"id":42'
say "The model API demands the company's key. The answer streams as it comes."
as sandbox onedoor invoke --stream model chat.completions --json \
  '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Who am I?"}]}'
must 0 'data: [DONE]'
say "Payroll demands a service key, and a signed assertion of who asks, for this one request."
as sandbox onedoor invoke payroll payslip.get --arg user=alice
must 0 '"asked_for"'

title "4. What was not granted is refused, and nothing is sent"
as sandbox onedoor invoke crm contacts.get --arg id=43
must 3 RESOURCE_NOT_GRANTED
as sandbox onedoor invoke crm contacts.delete --arg id=42
must 3 GRANT_MISSING
as sandbox onedoor invoke payroll payslip.get --arg user=bob
must 3 RESOURCE_NOT_GRANTED

title "5. A limit is a limit: one question to the model was granted"
as sandbox onedoor invoke model chat.completions --json '{"model":"demo","messages":[{"role":"user","content":"And now?"}]}'
must 5 LIMIT_REACHED

title "6. A stolen key is worthless: another sandbox, with an SVID of its own, presents it"
as sandbox2 onedoor invoke crm contacts.get --arg id=42
must 3 TASK_KEY_INVALID

title "7. The orchestrator ends the task, and the key works no more"
as orchestrator onedoor task revoke "$task"
must 0 "$task"
as sandbox onedoor invoke crm contacts.get --arg id=42
must 3 TASK_ENDED

title "8. All of it is in the audit trail, the theft by its name, and the tokens in a ledger"
as operator onedoor audit list --task "$task"
for text in INTENT OUTCOME RESOURCE_NOT_GRANTED GRANT_MISSING LIMIT_REACHED KEY_THEFT TASK_ENDED; do
  must 0 "$text"
done

as operator onedoor usage --by user,agent,model
must 0 demo

title "9. The secret never left the broker"
secret=$dir/demo/accounts # with this begins each token of the CRM's provider
hex=$(od -An -v -tx1 "$secret" | tr -d ' \n')
# Base64 without its last group, which depends on what stands behind the secret.
base64=$(base64 -w0 "$secret" | sed 's/....$//')
printf '%s\n' "$(cat "$secret")" "$hex" "$base64" >"$work/patterns"
hits() {
  local status=0
  grep -r -l -a -F -f "$work/patterns" "$@" || status=$?
  [ "$status" -le 1 ] || fail "the search itself failed"
}
[ "$(hits "$dir/demo")" = "$secret" ] || fail "the search does not find the secret where it is"
found=$(hits "$got" "$work/log" "$dir"/onedoor.db*)
[ -z "$found" ] || fail "the CRM's token stands in: $found"
say "Alice's CRM tokens were looked for (as they are, in hex, in base64) in all $(wc -c <"$got" | tr -d ' ') bytes" \
  "that the sandboxes got to see, in the broker's log, and in its database: no hit."

title "Done. \`make run\` keeps such a broker running for you to try."
