"""Authorities and SVIDs, good and bad."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from onedoor import identity
from onedoor.identity import Identity

DOMAIN = "home.test"
BROKER = f"spiffe://{DOMAIN}/broker"
SANDBOX = f"spiffe://{DOMAIN}/sandbox"


@dataclass
class SVID:
    """A certificate and its key."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def cert_pem(self) -> bytes:
        return self.cert.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass
class Authority:
    """The authority of a trust domain."""

    domain: str = DOMAIN
    own: SVID = field(init=False)

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {self.domain}")])
        usage = _usage(sign=False, authority=True)
        builder = _builder(name, name, key, [x509.UniformResourceIdentifier(f"spiffe://{self.domain}")])
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        self.own = SVID(builder.sign(key, hashes.SHA256()), key)

    def issue(
        self,
        *uris: str,
        dns: tuple[str, ...] = (),
        life: float = 3600,
        begins: float = -60,
        ca: bool = False,
    ) -> SVID:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(u) for u in uris]
        names += [x509.DNSName(d) for d in dns]
        builder = _builder(x509.Name([]), self.own.cert.subject, key, names, begins, life)
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
        builder = builder.add_extension(_usage(sign=True, authority=ca), True)
        return SVID(builder.sign(self.own.key, hashes.SHA256()), key)

    @property
    def pem(self) -> bytes:
        return self.own.cert_pem

    def identity(self, svid: SVID, *others: Authority) -> Identity:
        bundles = {a.domain: (a.own.cert.public_bytes(Encoding.DER),) for a in (self, *others)}
        return identity.make([svid.cert], svid.key_pem, bundles)


class Held:
    """A source that gives what it is told."""

    def __init__(self, now: Identity) -> None:
        self.now = now

    def identity(self) -> Identity:
        return self.now

    def close(self) -> None:
        pass


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    begins: float = -60,
    life: float = 3600,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(seconds=begins))
        .not_valid_after(now + dt.timedelta(seconds=life))
    )
    if not names:
        return builder
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))


def _usage(*, sign: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, authority, authority, False, False)
