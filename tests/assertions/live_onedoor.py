"""Judges requests as they come by onedoor.assertions. A line of standard input is a request
and how far to judge it; a line of standard output says whether it was accepted, and if not what
refused it.

    live_onedoor.py URL-OF-KEYS CA-FILE
"""

import json
import ssl
import sys
import time

from onedoor.assertions import AssertionRefused, Verifier
from onedoor.assertions._verifier import judge_of

ahead = 0.0
verifier = Verifier(
    "https://broker.example",
    "https://payroll.internal",
    jwks_url=sys.argv[1],
    ssl_context=ssl.create_default_context(cafile=sys.argv[2]),
    keys_fresh=1,
    refresh_interval=0.03,
    now=lambda: time.time() + ahead,
)
judge = judge_of(verifier)


def refusal(request: dict) -> str:
    global ahead
    ahead = request["ahead"]
    method, body = request["method"], request["body"].encode()
    try:
        claims = judge.open([request["token"]], None)
        if request["part"] != "token" and judge.check_target(claims, method, request["url"]):
            judge.check_body(claims, body)
        if request["part"] == "once":
            judge.finish(claims, method)
    except AssertionRefused as refused:
        return refused.reason.value
    return ""


for line in sys.stdin.buffer:
    why = refusal(json.loads(line))
    print(json.dumps({"accepted": why == "", "why": why}), flush=True)
