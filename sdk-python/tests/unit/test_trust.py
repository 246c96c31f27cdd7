"""Who is taken for the broker, and who is not: nothing may be sent to the latter."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from conftest import KEY, make
from cryptography import x509
from fakebroker import Broker
from pki import BROKER, SANDBOX, SVID, Authority, Held

import onedoor
from onedoor import errors


class Listener:
    """A TLS server that keeps every byte which it decrypts, and what became of the handshake."""

    def __init__(self, svid: SVID, tmp_path, alpn=("h2",), version=None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if version:
            context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(list(alpn))
        file = tmp_path / "server.pem"
        file.write_bytes(svid.cert_pem + svid.key_pem)
        context.load_cert_chain(file)
        self._context = context
        self._plain = socket.create_server(("127.0.0.1", 0))
        self.addr = f"127.0.0.1:{self._plain.getsockname()[1]}"
        self.received = b""
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._plain.accept()
            except OSError:
                return
            self.connections += 1
            plain.settimeout(5)
            try:
                with self._context.wrap_socket(plain, server_side=True) as s:
                    while data := s.recv(4096):
                        self.received += data
            except OSError:
                plain.close()

    def close(self) -> None:
        self._plain.shutdown(socket.SHUT_RDWR)
        self._plain.close()
        self._thread.join(10)


@pytest.fixture
def serve(tmp_path) -> Iterator:
    listeners = []

    def start(svid, **options):
        listeners.append(Listener(svid, tmp_path, **options))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


OTHER = Authority("other.test")
IMPOSTOR = Authority()  # of our own domain's name

HOSTILE = {
    "another ID": (lambda a: a.issue("spiffe://home.test/other"), {}, "it is spiffe://home.test/other"),
    "an ID in other letters": (
        lambda a: a.issue("spiffe://home.test/Broker"),
        {},
        "it is spiffe://home.test/Broker",
    ),
    "an ID below": (lambda a: a.issue(BROKER + "/x"), {}, "it is "),
    "an ID with a slash more": (lambda a: a.issue(BROKER + "/"), {}, "it is "),
    "another trust domain": (lambda a: OTHER.issue("spiffe://other.test/broker"), {}, "does not verify"),
    "our ID by another trust domain": (lambda a: OTHER.issue(BROKER), {}, "does not verify"),
    "our ID by a stranger": (lambda a: IMPOSTOR.issue(BROKER), {}, "does not verify"),
    "expired": (lambda a: a.issue(BROKER, begins=-60, life=-10), {}, "expired"),
    "not valid yet": (lambda a: a.issue(BROKER, begins=60), {}, "not yet valid"),
    "a DNS name alone": (lambda a: a.issue(dns=("localhost",)), {}, "0 URIs"),
    "the ID as a DNS name": (lambda a: a.issue(dns=(BROKER,)), {}, "0 URIs"),
    "no name at all": (lambda a: a.issue(), {}, "no SPIFFE ID"),
    "two IDs": (lambda a: a.issue(BROKER, "spiffe://home.test/other"), {}, "2 URIs"),
    "its ID twice": (lambda a: a.issue(BROKER, BROKER), {}, "2 URIs"),
    "a URI besides": (lambda a: a.issue("https://x", BROKER), {}, "2 URIs"),
    "an authority": (lambda a: a.issue(BROKER, ca=True), {}, "authority's"),
    "the authority itself": (lambda a: a.own, {}, "did not prove"),
    "TLS 1.2": (lambda a: a.issue(BROKER), {"version": ssl.TLSVersion.TLSv1_2}, "TLS failed"),
    "HTTP/1.1": (lambda a: a.issue(BROKER), {"alpn": ("http/1.1",)}, "did not prove"),
    "no ALPN": (lambda a: a.issue(BROKER), {"alpn": ()}, "does not speak HTTP/2"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whoever_is_not_the_broker_gets_nothing(name, home, serve, kind):
    issue, options, message = HOSTILE[name]
    listener = serve(issue(home), **options)
    # The bundle of the other domain is at hand, and must not count for ours.
    source = Held(home.identity(home.issue(SANDBOX), OTHER))
    client = make(kind, addr=listener.addr, broker_id=BROKER, task_key=KEY, identity=source)
    try:
        with pytest.raises(onedoor.BrokerUntrusted, match=message) as e:
            client.invoke("crm", "contacts.create", id="42")
        assert "nothing was sent" in str(e.value)
        assert str(e.value).startswith("UNAUTHENTICATED: ")
    finally:
        client.close()
    assert listener.connections >= 1
    assert listener.received == b""


def test_no_bundle_of_the_brokers_domain(home, serve, kind):
    """The system's roots, and the bundles of other domains, are not asked."""
    listener = serve(home.issue(BROKER))
    source = Held(OTHER.identity(OTHER.issue("spiffe://other.test/sandbox")))
    client = make(kind, addr=listener.addr, broker_id=BROKER, task_key=KEY, identity=source)
    try:
        with pytest.raises(onedoor.BrokerUntrusted, match="no bundle"):
            client.invoke("crm", "contacts.create")
    finally:
        client.close()
    assert listener.connections == 0


def test_a_broker_in_another_trust_domain(home, kind):
    """Its own bundle is what counts, where the Workload API federates it."""
    broker = Broker(OTHER, OTHER.issue("spiffe://other.test/broker"))
    source = Held(OTHER.identity(OTHER.issue(SANDBOX), home))
    client = make(kind, addr=broker.addr, broker_id="spiffe://other.test/broker", identity=source)
    try:
        client.task()
    finally:
        client.close()
        broker.close()
    assert len(broker.calls) == 1


def test_a_dns_name_besides_does_no_harm(home, kind):
    broker = Broker(home, home.issue(BROKER, dns=("broker.home.test",)))
    client = make(kind, addr=broker.addr, broker_id=BROKER, identity=Held(home.identity(home.issue(SANDBOX))))
    try:
        client.task()
    finally:
        client.close()
        broker.close()


def test_the_broker_does_not_know_us(home, kind):
    """It says so after our side of the handshake; no call has left by then."""
    broker = Broker(home, home.issue(BROKER))
    source = Held(OTHER.identity(OTHER.issue("spiffe://other.test/x"), home))
    client = make(kind, addr=broker.addr, broker_id=BROKER, task_key=KEY, identity=source)
    try:
        with pytest.raises(onedoor.TransportError) as e:
            client.invoke("crm", "contacts.create")
        assert not isinstance(e.value, errors.OutcomeUnknown)
    finally:
        client.close()
        broker.close()
    assert not broker.calls


def test_our_own_svid_has_no_key(home, kind):
    """What the files or the Workload API hold may be anything: nothing crashes."""
    broken = home.identity(home.issue(SANDBOX))
    source = Held(type(broken)(broken.chain_pem, b"no key", b"x", broken.bundles, 0, 0))
    broker = Broker(home, home.issue(BROKER))
    client = make(kind, addr=broker.addr, broker_id=BROKER, identity=source)
    try:
        with pytest.raises(onedoor.TransportError, match="no connection to the broker"):
            client.invoke("crm", "contacts.create")
    finally:
        client.close()
        broker.close()


def test_certificates_are_what_they_are_taken_for(home):
    """The table above stands on these."""
    names = home.issue(BROKER).cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == []
    assert home.issue(BROKER, life=-10).cert.not_valid_after_utc < dt.datetime.now(dt.timezone.utc)
