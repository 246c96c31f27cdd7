"""Judges the golden vectors by the Python program of docs/assertions.md: a JSON object on
standard output says of every case whether it was accepted.

    run.py VECTORS FOLDER-OF-PROGRAM
"""

import datetime
import json
import sys

import jwt
import jwt.api_jwt

with open(sys.argv[1], encoding="utf-8") as file:
    vectors = json.load(file)
sys.path.insert(0, sys.argv[2])
import program  # noqa: E402  (the folder has only now become known)


class Fixed(datetime.datetime):
    """The vectors' clock: PyJWT takes none as an argument."""

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(vectors["now"], tz)


jwt.api_jwt.datetime = Fixed
program.KEYS.fetch_data = lambda: vectors["jwks"]


def accepted(case):
    request = case["request"]
    try:
        claims = program.verify(request["headers"][0][1])
    except jwt.PyJWTError:
        return False
    if case["layer"] == "token":
        return True
    return program.bound(claims, request["method"], request["url"], request["body"].encode())


json.dump(
    {c["name"]: accepted(c) for c in vectors["cases"] if c["layer"] != "service" and c["profile"] == "request-bound"},
    sys.stdout,
)
