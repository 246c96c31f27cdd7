"""What a verifier is told, and how it is held to it."""

from __future__ import annotations

from enum import Enum

from ._request import canonical


class Profile(Enum):
    """A form of token. The two are never mixed: their typ differs."""

    REQUEST_BOUND = ("onedoor-assertion+jwt", "X-Onedoor-Jwt-Assertion")
    """The default: one audience, and method, target, query and body of one request."""
    TXN_TOKEN = ("txntoken+jwt", "Txn-Token")
    """The Transaction Token (draft-ietf-oauth-transaction-tokens-10): its audience is the trust domain.

    Services hand it on unchanged down a chain of calls, so it is bound to no request and may be
    seen twice.
    """

    @property
    def typ(self) -> str:
        """The token's typ."""
        return self.value[0]

    @property
    def header(self) -> str:
        """The header that carries it, where the connector sets no other."""
        return self.value[1]


def demand(*rules: tuple[bool, str]) -> None:
    """Raises a ValueError that says all rules which do not hold."""
    faults = [fault for holds, fault in rules if not holds]
    if faults:
        raise ValueError("assertion verifier: " + "; ".join(faults))


def is_https(text: str) -> bool:
    """Says whether a text is an https URL without user, query and fragment."""
    return text.lower().startswith("https://") and canonical(text) is not None


def is_bare(text: str) -> bool:
    """Says whether a text is an http URL without user, query and fragment."""
    return canonical(text) is not None
