"""The text of a body, in the charset that its upstream names."""

from __future__ import annotations

import codecs

# What Python decodes to text and nobody writes a body in. Whoever names one wants something
# else of us: punycode takes a time that grows with the square of the length, hours for some
# MiB, and the others make another text of what reads as plain everywhere else.
_NONE = frozenset(
    ("idna", "palmos", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
)


def decoded(body: bytes, charset: str | None) -> str:
    """Decodes a body. What does not decode is replaced; a charset that cannot be used counts
    as none, which is UTF-8."""
    try:
        if charset and codecs.lookup(charset).name not in _NONE:
            return body.decode(charset, "replace")
    except (LookupError, ValueError):
        pass
    return body.decode("utf-8", "replace")
