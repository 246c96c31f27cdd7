"""The claims of an assertion, and how they are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from ._reasons import AssertionRefused, Reason

MAX_LIFE = 300
"""The longest life in seconds that is accepted, whoever signed it; brokers give 60."""

MAX_ID = 256
"""Bounds, in bytes, what a replay cache is asked to keep."""

_MAX_INTEGER = 1 << 63


@dataclass(frozen=True)
class Actor:
    """Who acts (act, RFC 8693 section 4.1). Only the outermost may decide anything: those within are history."""

    subject: str
    profile: str
    """"ai_agent" for an agent."""
    actor: Actor | None = None
    """Who had acted before; None at the end."""


@dataclass(frozen=True)
class Context:
    """The call's purpose, and what binds it to the request's content (tctx)."""

    task: str = ""
    workspace: str = ""
    tool: str = ""
    severity: str = ""
    query_sha256: str = ""
    """Unpadded base64url of the SHA-256 of the query as sent, without "?"; empty if there is none."""
    content_digest: str = ""
    """"sha-256=:BASE64:" of the body (RFC 9530), of an empty one too."""
    body: str = ""
    """"stream" where the broker could not know the body beforehand: it is then not bound."""


@dataclass(frozen=True)
class Requester:
    """The environment from which the call came (rctx)."""

    spiffe_id: str = ""
    key_id: str = ""
    session: str = ""


@dataclass(frozen=True)
class Confirmation:
    """The certificate over whose connection alone the assertion holds (cnf, RFC 8705 section 3.1)."""

    thumbprint: str = ""
    """Unpadded base64url of the SHA-256 of the certificate's DER (x5t#S256)."""


@dataclass(frozen=True)
class Claims:
    """What a verified assertion says. docs/assertions.md explains every claim."""

    issuer: str
    """The broker (iss)."""
    audience: str
    """This service, or for Profile.TXN_TOKEN the trust domain (aud)."""
    subject: str
    """The user's stable, opaque id (sub), never an e-mail address."""
    actor: Actor | None
    """The agent that acts for the user (act); None if none is named."""
    workload: str
    """The SPIFFE ID of the sandbox that asked (req_wl)."""
    transaction: str
    """The broker's invocation id (txn): the same in retries, and in the broker's audit trail."""
    id: str
    """New with every attempt (jti)."""
    issued_at: int
    """Seconds since 1970 (iat)."""
    expires: int
    """Seconds since 1970 (exp)."""
    not_before: int
    """Seconds since 1970 (nbf); brokers leave it out, which is 0 here."""
    scope: str
    """The tools that the call used, separated by spaces (scope)."""
    method: str
    """The request's method (htm, RFC 9449); empty in a Transaction Token."""
    uri: str
    """The request's target without query (htu, RFC 9449); empty in a Transaction Token."""
    context: Context
    """What the call was for (tctx)."""
    requester: Requester
    """The environment from which the call came (rctx)."""
    confirmation: Confirmation | None
    """Binds the assertion to a certificate (cnf); None if it is bound to none."""


class NotJSON(ValueError):
    """A text is not what parse_json takes."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJSON("a name is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotJSON(name + " is no JSON")


def parse_json(text: bytes) -> dict[str, Any]:
    """Reads an object. Duplicate names are refused, so that no two readers see different claims."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise NotJSON("not JSON") from error
    if not isinstance(found, dict):
        raise NotJSON("not an object")
    return found


_Value = TypeVar("_Value", str, int, dict[str, Any])


def _typed(values: dict[str, Any], name: str, kind: type[_Value]) -> _Value:
    """Gives a member, its kind's empty value where it is not there, and refuses other kinds."""
    value = values.get(name)
    if value is None:
        return kind()
    # bool is a kind of int to Python, and not to JSON: so kinds are compared exactly.
    if type(value) is not kind:
        raise AssertionRefused(Reason.MALFORMED, f"{name} is not of the expected type")
    return value


def _text(values: dict[str, Any], name: str) -> str:
    value = _typed(values, name, str)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise AssertionRefused(Reason.MALFORMED, f"{name} is not text") from error
    return value


def _integer(values: dict[str, Any], name: str) -> int:
    value = _typed(values, name, int)
    if not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise AssertionRefused(Reason.MALFORMED, f"{name} is too large")
    return value


def _actor(values: dict[str, Any]) -> Actor | None:
    if values.get("act") is None:
        return None
    act = _typed(values, "act", dict)
    return Actor(_text(act, "sub"), _text(act, "sub_profile"), _actor(act))


def _context(values: dict[str, Any]) -> Context:
    tctx = _typed(values, "tctx", dict)
    return Context(
        task=_text(tctx, "task"),
        workspace=_text(tctx, "workspace"),
        tool=_text(tctx, "tool"),
        severity=_text(tctx, "severity"),
        query_sha256=_text(tctx, "query_sha256"),
        content_digest=_text(tctx, "content_digest"),
        body=_text(tctx, "body"),
    )


def _confirmation(values: dict[str, Any]) -> Confirmation | None:
    if values.get("cnf") is None:
        return None
    return Confirmation(_text(_typed(values, "cnf", dict), "x5t#S256"))


def parse_claims(payload: bytes) -> Claims:
    """Reads a payload whose signature was verified."""
    try:
        values = parse_json(payload)
        # A list is refused even if it has one member: an assertion for two services could be
        # shown by the one to the other.
        if not isinstance(values.get("aud", ""), str):
            raise AssertionRefused(Reason.AUDIENCE_WRONG, "aud is not one string")
        rctx = _typed(values, "rctx", dict)
        return Claims(
            issuer=_text(values, "iss"),
            audience=_text(values, "aud"),
            subject=_text(values, "sub"),
            actor=_actor(values),
            workload=_text(values, "req_wl"),
            transaction=_text(values, "txn"),
            id=_text(values, "jti"),
            issued_at=_integer(values, "iat"),
            expires=_integer(values, "exp"),
            not_before=_integer(values, "nbf"),
            scope=_text(values, "scope"),
            method=_text(values, "htm"),
            uri=_text(values, "htu"),
            context=_context(values),
            requester=Requester(_text(rctx, "spiffe_id"), _text(rctx, "key_id"), _text(rctx, "session")),
            confirmation=_confirmation(values),
        )
    except (NotJSON, RecursionError) as error:
        raise AssertionRefused(
            Reason.MALFORMED, "the payload is not an object of the expected claims"
        ) from error


def check_claims(c: Claims, *, issuer: str, audience: str, leeway: float, now: float) -> None:
    """Holds the claims that every profile has to what is expected."""
    faults = (
        (c.issuer != issuer, Reason.ISSUER_WRONG, "iss is not " + issuer),
        (c.audience != audience, Reason.AUDIENCE_WRONG, "aud is not " + audience),
        (not (c.expires and c.issued_at and c.id), Reason.CLAIM_MISSING, "exp, iat and jti are required"),
        (
            not (c.subject and c.transaction and c.workload and c.scope),
            Reason.CLAIM_MISSING,
            "sub, txn, req_wl and scope are required",
        ),
        (len(c.id.encode()) > MAX_ID, Reason.MALFORMED, "jti is too long"),
        (not now < c.expires + leeway, Reason.EXPIRED, "exp has passed"),
        (not c.issued_at <= now + leeway, Reason.NOT_YET_VALID, "iat lies in the future"),
        (not c.not_before <= now + leeway, Reason.NOT_YET_VALID, "nbf lies in the future"),
        (
            not 0 < c.expires - c.issued_at <= MAX_LIFE,
            Reason.LIFE_TOO_LONG,
            "exp is not within 300 s after iat",
        ),
    )
    for wrong, reason, detail in faults:
        if wrong:
            raise AssertionRefused(reason, detail)
