"""Mutual TLS 1.3 that accepts exactly one SPIFFE ID as the broker."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from spiffe import SpiffeId

from onedoor.errors import BrokerUntrusted, OnedoorError
from onedoor.identity import Identity, Source

# How many bytes are read from a socket at once.
CHUNK = 128 << 10
# How long a broker may take to answer a connection and the handshake, in seconds.
_PATIENCE = 20.0


@dataclass
class Wire:
    """A verified TLS connection. TLS works on memory, so that one thread can serve both
    directions without ever blocking in one of them."""

    sock: socket.socket
    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO


@dataclass(frozen=True)
class Dialer:
    """Opens connections to one broker as one workload."""

    host: str
    port: int
    broker: SpiffeId
    source: Source

    def dial(self) -> Wire:
        """Connects and verifies. Raises BrokerUntrusted where whoever answers does not
        prove to be the broker; other errors are OSError."""
        context = self._context(self.source.identity())
        sock = socket.create_connection((self.host, self.port), timeout=_PATIENCE)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing)
            wire = Wire(sock, tls, incoming, outgoing)
            self._handshake(wire)
            self._verify(tls)
        except BaseException:
            sock.close()
            raise
        return wire

    def _context(self, identity: Identity) -> ssl.SSLContext:
        domain = self.broker.trust_domain.name
        authorities = identity.bundles.get(domain) or identity.bundles.get("")
        if not authorities:
            raise BrokerUntrusted(f"there is no bundle for the broker's trust domain {domain}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # The chain is verified by OpenSSL, against this bundle alone; the name is an URI,
        # which OpenSSL does not compare: _verify does.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        # As for go-spiffe, every certificate of a bundle is an anchor.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=b"".join(authorities))
        context.set_alpn_protocols(["h2"])
        with _file(identity.chain_pem + identity.key_pem) as path:
            context.load_cert_chain(path)
        return context

    def _handshake(self, wire: Wire) -> None:
        while True:
            try:
                wire.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._exchange(wire)
            except ssl.SSLCertVerificationError as e:
                _send(wire)
                raise self._untrusted(f"its certificate does not verify: {e.verify_message}") from None
            except ssl.SSLError as e:
                _send(wire)
                raise self._untrusted(f"TLS failed: {e.reason or e}") from None
            else:
                _send(wire)
                return

    def _exchange(self, wire: Wire) -> None:
        _send(wire)
        data = wire.sock.recv(CHUNK)
        if not data:
            raise ConnectionResetError("the connection ended in the handshake")
        wire.incoming.write(data)

    def _verify(self, tls: ssl.SSLObject) -> None:
        """Holds the peer to being the broker. Nothing of a call has been sent yet."""
        der = tls.getpeercert(binary_form=True)
        if tls.version() != "TLSv1.3" or tls.selected_alpn_protocol() != "h2" or der is None:
            raise self._untrusted("it does not speak HTTP/2 over TLS 1.3")
        try:
            found = _spiffe_id(x509.load_der_x509_certificate(der))
        except ValueError as e:
            raise self._untrusted(str(e)) from None
        if found != str(self.broker):
            raise self._untrusted(f"it is {found}")

    def _untrusted(self, why: str) -> OnedoorError:
        addr = f"{self.host}:{self.port}"
        return BrokerUntrusted(f"{addr} did not prove to be {self.broker}, nothing was sent: {why}")


def _send(wire: Wire) -> None:
    if wire.outgoing.pending:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wire.sock.sendall(wire.outgoing.read())


def _spiffe_id(leaf: x509.Certificate) -> str:
    """The one URI of an X.509-SVID (X509-SVID section 2, section 5.2); ValueError where it is none."""
    try:
        extensions = leaf.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("its certificate has no SPIFFE ID") from None
    except x509.DuplicateExtension:
        raise ValueError("its certificate has an extension twice") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise ValueError(f"its certificate has {len(uris)} URIs, not one SPIFFE ID")
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise ValueError("its certificate is an authority's, not a workload's")
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            raise ValueError("its certificate may sign others, as no workload's may")
    return uris[0]


@contextlib.contextmanager
def _file(text: bytes) -> Iterator[str]:
    """The path of a file that holds text for as long as it takes: ssl reads keys from
    files alone. On Linux it is in memory, and has no name; elsewhere only this user can
    open it."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        fd = os.memfd_create("onedoor", os.MFD_CLOEXEC)
        with os.fdopen(fd, "wb") as f:
            f.write(text)
            f.flush()
            yield f"/proc/self/fd/{fd}"
        return
    with tempfile.NamedTemporaryFile(prefix="onedoor") as f:
        f.write(text)
        f.flush()
        yield f.name
