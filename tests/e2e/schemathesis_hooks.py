"""Gives every other call of schemathesis's what exists: from random text alone none gets anywhere."""

import json
import os
from collections import Counter

import schemathesis

KNOWN = json.loads(os.environ["ONEDOOR_TEST_KNOWN"])
turns: Counter = Counter()


@schemathesis.hook
def before_call(context, case, kwargs):
    label = case.operation.label
    turns[label] += 1
    if turns[label] % 2:
        return
    if case.query:
        case.query = {}
    known = KNOWN.get(label, {})
    if case.path_parameters and "path" in known:
        case.path_parameters.update(known["path"])
    if "body" in known:
        case.body = known["body"]


@schemathesis.hook
def after_call(context, case, response):
    with open(os.environ["ONEDOOR_TEST_ANSWERS"], "a", encoding="utf-8") as answers:
        answers.write(f"{case.operation.label} {response.status_code}\n")
