"""Judges requests as they come by the Python program of docs/assertions.md. A line of
standard input is a request and how far to judge it; a line of standard output says
whether it was accepted, and if not what refused it.

    live.py FOLDER-OF-PROGRAM
"""

import datetime
import json
import sys

import jwt
import jwt.api_jwt

sys.path.insert(0, sys.argv[1])
import program  # noqa: E402  (the folder has only now become known)


class Ahead(datetime.datetime):
    """The clock, ahead by what the request says: PyJWT takes none as an argument."""

    seconds = 0

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=cls.seconds)


jwt.api_jwt.datetime = Ahead
used = program.Used()


def refusal(request):
    Ahead.seconds = request["ahead"]
    try:
        claims = program.verify(request["token"])
    except jwt.PyJWTError as refused:
        return type(refused).__name__
    if request["part"] == "token":
        return ""
    if not program.bound(claims, request["method"], request["url"], request["body"].encode()):
        return "bound"
    if request["part"] == "once" and not used.first(claims):
        return "first"
    return ""


for line in sys.stdin.buffer:
    why = refusal(json.loads(line))
    print(json.dumps({"accepted": why == "", "why": why}), flush=True)
