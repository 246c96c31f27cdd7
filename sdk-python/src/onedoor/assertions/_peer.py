"""Holding the TLS peer to what is expected of it."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography import x509

from ._claims import Claims
from ._reasons import AssertionRefused, Reason


def check_peer(
    claims: Claims,
    certificate: bytes | None,
    *,
    broker_id: str,
    require_confirmation: bool,
    tls_elsewhere: bool,
) -> None:
    """Compares the verified client certificate (DER, None for none) with the broker's ID and with cnf."""
    if broker_id and (certificate is None or _spiffe_id(certificate) != broker_id):
        raise AssertionRefused(Reason.PEER_WRONG, "the TLS peer is not " + broker_id)
    if claims.confirmation is None and require_confirmation:
        raise AssertionRefused(Reason.CLAIM_MISSING, "cnf is required")
    if claims.confirmation is None or tls_elsewhere:
        return
    if certificate is None:
        raise AssertionRefused(
            Reason.PEER_WRONG, "bound to a certificate, and the connection shows none that was verified"
        )
    if not equal(claims.confirmation.thumbprint, base64url(hashlib.sha256(certificate).digest())):
        raise AssertionRefused(Reason.PEER_WRONG, "bound to another certificate than the TLS peer's")


def _spiffe_id(certificate: bytes) -> str | None:
    """Gives the one URI of a certificate; None where it has another number of them, or does not parse."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if len(uris) == 1 else None


def base64url(data: bytes) -> str:
    """Encodes without padding."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def equal(a: str, b: str) -> bool:
    """Compares without telling by time where the difference is."""
    return hmac.compare_digest(a.encode(), b.encode())
