"""What an answer holds."""

from __future__ import annotations

import pytest

import onedoor
from onedoor.v1 import broker_pb2 as pb


def test_answer(new_rig):
    body = '{"größe": 9007199254740993}'
    rig = new_rig(
        lambda n, call: pb.InvokeResponse(
            invocation_id="i1",
            status=404,
            headers={"etag": "x"},
            content_type="application/json",
            body=body.encode(),
        )
    )
    answer = rig.client.invoke("crm", "contacts.get")
    assert (answer.invocation_id, answer.status, answer.headers) == ("i1", 404, {"etag": "x"})
    assert (answer.content_type, answer.body, answer.text) == ("application/json", body.encode(), body)
    assert answer.json() == {"größe": 9007199254740993}
    assert not answer.ok


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("", "é".encode(), "é"),
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("text/plain; charset=nonsense", "é".encode(), "é"),
        ("text/plain; charset=idna", "é".encode(), "é"),
        ("text/plain; charset=punycode", b"Mnchen-3ya", "Mnchen-3ya"),
        ("text/plain; charset=unicode_escape", b"\\x41", "\\x41"),
        ("text/plain; charset=utf-7", b"+AEE-", "+AEE-"),
        ("text/plain; charset=utf-16", "é".encode("utf-16"), "é"),
        ("text/plain; charset=undefined", "é".encode(), "é"),
        ("text/plain; charset=\0", "é".encode(), "é"),
        ("application/octet-stream", b"\xff", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_text(content_type, body, text):
    assert onedoor.Answer("", 200, {}, content_type, body).text == text


def test_large_answer(new_rig):
    rig = new_rig(lambda n, call: pb.InvokeResponse(body=bytes(64 << 20)))
    assert len(rig.client.invoke("crm", "files.get").body) == 64 << 20
