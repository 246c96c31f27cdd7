"""What a model is told of an answer or of a refusal."""

from __future__ import annotations

from email.message import Message

from onedoor._charset import decoded

from ._calls import Told
from ._protocols import AnswerLike

_MAX_REFUSAL = 2000

_TEXTUAL = frozenset(
    (
        "application/graphql-response+json",
        "application/javascript",
        "application/json",
        "application/ld+json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    )
)


def tell_answer(answer: AnswerLike, most: int) -> Told:
    """Gives an answer as text of at most that many characters and a note."""
    failed = not 200 <= answer.status < 300
    text = _body(answer)
    if text is None:
        kind = answer.content_type.partition(";")[0].strip() or "an unknown type"
        text = f"[{len(answer.body)} bytes of {kind}, which is not text]"
    elif not text:
        text = f"[status {answer.status}, no content]"
    elif len(text) > most:
        text = f"{text[:most]}\n[cut: the first {most} of {len(text)} characters]"
    return Told(f"[status {answer.status}]\n{text}" if failed else text, failed)


def _body(answer: AnswerLike) -> str | None:
    """Gives a body that is text, None for another."""
    if not answer.body:
        return ""
    header = Message()
    header["Content-Type"] = answer.content_type
    kind = header.get_content_type() if answer.content_type else ""
    if not kind:
        try:
            text = answer.body.decode("utf-8")
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text
    if not (kind.startswith("text/") or kind in _TEXTUAL or kind.endswith(("+json", "+xml", "+yaml"))):
        return None
    return decoded(answer.body, header.get_content_charset())


def reason_of(error: Exception) -> str | None:
    """Gives the reason of a refusal; None for an exception that is none, as one of the client's
    own: a broker that is not the right one, a connection that cannot be made.

    OnedoorError is known by what it has: this module loads nothing of the client.
    """
    if not (hasattr(error, "reason") and hasattr(error, "message") and hasattr(error, "invocation_id")):
        return None
    reason = getattr(error.reason, "value", error.reason)
    return reason if reason and isinstance(reason, str) else None


def tell_refusal(error: Exception, reason: str) -> Told:
    """Gives a refusal as text."""
    message = str(getattr(error, "message", ""))
    text = f"Refused: {reason}: {message}"[:_MAX_REFUSAL]
    if reason == "OUTCOME_UNKNOWN":
        text += "\nIt may have been carried out. Do not call it again before you have looked."
    invocation = getattr(error, "invocation_id", "")
    return Told(f"{text}\nInvocation: {invocation}" if invocation else text, failed=True)
