"""Who this workload is: its X.509-SVID, and by which bundles others are verified."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from onedoor.errors import NoIdentity


@dataclass(frozen=True)
class Identity:
    """One X.509-SVID with its key, and the bundles that belong to the same moment."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    generation: bytes
    """Tells one SVID from the next: the SHA-256 of the leaf."""
    bundles: dict[str, tuple[bytes, ...]] = field(repr=False)
    """The authorities' certificates (DER) of each trust domain."""
    not_after: float
    """When the SVID expires, in seconds since 1970."""
    not_before: float
    """From when on it is valid."""


class Source(Protocol):
    """Gives this workload's identity. It is asked before every call, by any thread, so it
    must answer from memory."""

    def identity(self) -> Identity:
        """The present identity; raises NoIdentity where there is none."""

    def close(self) -> None:
        """Ends what runs in the background. It may be called more than once."""


def make(
    chain: Sequence[x509.Certificate], key_pem: bytes, bundles: dict[str, tuple[bytes, ...]]
) -> Identity:
    """Makes an Identity of parsed parts."""
    leaf = chain[0]
    return Identity(
        chain_pem=b"".join(c.public_bytes(Encoding.PEM) for c in chain),
        key_pem=key_pem,
        generation=hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest(),
        bundles=bundles,
        not_after=leaf.not_valid_after_utc.timestamp(),
        not_before=leaf.not_valid_before_utc.timestamp(),
    )


class PEMFiles:
    """An X.509-SVID that something else (spiffe-helper, ``onedoor svid --write``) keeps in
    files. They are read anew when they change.

    svid holds the leaf and its intermediates, key the private key (PKCS #8, unencrypted),
    bundle the authorities of the broker's trust domain. While the files do not fit each
    other, as in the middle of a change, the identity before stays in use.
    """

    def __init__(
        self, svid: str | os.PathLike[str], key: str | os.PathLike[str], bundle: str | os.PathLike[str]
    ) -> None:
        self._files = (Path(svid), Path(key), Path(bundle))
        self._lock = Lock()
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self._identity: Identity | None = None
        self.identity()

    def identity(self) -> Identity:
        """The identity that the files hold now."""
        with self._lock:
            try:
                seen = tuple(_stamp(f) for f in self._files)
                if seen != self._seen or self._identity is None:
                    self._identity, self._seen = self._read(), seen
            except (OSError, ValueError, TypeError) as e:
                if self._identity is None:
                    raise NoIdentity(f"X.509-SVID from files: {e}") from None
            return self._identity

    def _read(self) -> Identity:
        svid, key, bundle = (f.read_bytes() for f in self._files)
        chain = x509.load_pem_x509_certificates(svid)
        # The file does not say whose authorities these are. The broker's ID is compared
        # in any case, so they serve for whichever trust domain is asked for.
        authorities = tuple(c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(bundle))
        public = load_pem_private_key(key, None).public_key()
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if public.public_bytes(*form) != chain[0].public_key().public_bytes(*form):
            raise ValueError(f"the key in {self._files[1]} does not belong to the SVID in {self._files[0]}")
        return make(chain, key, {"": authorities})

    def close(self) -> None:
        """Does nothing: nothing runs."""

    def __repr__(self) -> str:
        return f"PEMFiles({', '.join(repr(str(f)) for f in self._files)})"


def _stamp(file: Path) -> tuple[int, int, int]:
    s = file.stat()
    return s.st_mtime_ns, s.st_size, s.st_ino
