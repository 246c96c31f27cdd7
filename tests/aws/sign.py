"""Signs every request of a table with botocore and prints the headers that it sets.

usage: sign.py TABLE.json > {"name": {"Authorization": "...", ...}, ...}
"""

import datetime
import json
import sys

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def sign(case):
    at = datetime.datetime.strptime(case["time"], "%Y%m%dT%H%M%SZ")
    botocore.auth.get_current_datetime = lambda *_, **__: at
    request = AWSRequest(
        method=case["method"], url=case["url"], data=case.get("body", "").encode(), headers=case.get("headers", {})
    )
    key = Credentials(case["id"], case["secret"], case.get("token"))
    signer = botocore.auth.S3SigV4Auth if case["service"] == "s3" else botocore.auth.SigV4Auth
    signer(key, case["service"], case["region"]).add_auth(request)
    own = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
    return {name: request.headers[name] for name in own if name in request.headers}


with open(sys.argv[1], encoding="utf-8") as table:
    json.dump({case["name"]: sign(case) for case in json.load(table)}, sys.stdout)
