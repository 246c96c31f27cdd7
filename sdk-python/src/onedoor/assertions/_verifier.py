"""The verifier."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable

from ._claims import Claims
from ._fetch import JWKSSource
from ._judge import Headers, Judge
from ._keys import KeySet
from ._options import Profile, demand, is_bare, is_https
from ._replay import AsyncReplayCache, MemoryReplay, ReplayCache

_FETCH_TIMEOUT = 10.0
_MAX_LEEWAY = 300.0


class Verifier:
    """Judges requests by the rules of docs/assertions.md. It may be used by several threads at once.

    It fetches nothing before the first request, so that a service starts while the broker is
    away. A ValueError names every faulty argument.

    issuer
        The broker's issuer, compared with iss exactly. An https URL.
    audience
        This service as its connector names it, for TXN_TOKEN the trust domain. Compared with aud
        exactly.
    header
        What carries the token; default is the profile's own.
    jwks_url
        Where the public keys are, by https; default is issuer + "/.well-known/jwks.json".
    ssl_context
        By which the keys are fetched; default is ssl.create_default_context(). It must verify.
    keys_fresh
        For how many seconds fetched keys are used before they are asked for again.
    keys_stale
        For how many seconds after they were fetched they are used while the broker cannot be
        reached. A key that it stopped publishing is dropped as soon as one answer is without it.
    refresh_interval
        The least time between two fetches, so that forged kids do not become load on the broker.
    origin
        This service as the broker addresses it, such as "https://payroll.internal". Without it
        scheme and host are the request's, which is right only where no proxy changes them.
    max_body
        How many bytes of a body the middleware holds in memory to compute its digest.
    leeway
        The clock skew in seconds that is forgiven, at most 300.
    replay
        Remembers used assertions; default is MemoryReplay(), which is one process's own. Workers
        and instances that share no memory need one that they share.
    broker_id
        The one SPIFFE ID from which assertions are accepted. Without it the peer must be
        authenticated by other means, for instance the mesh.
    require_confirmation
        Refuses an assertion that is bound to no certificate by cnf. Set it where the connector
        shows a client certificate.
    tls_elsewhere
        Says that a proxy in front ends TLS and authenticates the broker. An assertion bound to a
        certificate is then accepted without seeing it; otherwise it is refused.
    now
        The clock, in seconds since 1970.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        profile: Profile = Profile.REQUEST_BOUND,
        header: str = "",
        jwks_url: str = "",
        ssl_context: ssl.SSLContext | None = None,
        keys_fresh: float = 300,
        keys_stale: float = 86_400,
        refresh_interval: float = 10,
        origin: str = "",
        max_body: int = 10 << 20,
        leeway: float = 30,
        replay: ReplayCache | AsyncReplayCache | None = None,
        broker_id: str = "",
        require_confirmation: bool = False,
        tls_elsewhere: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        jwks_url = jwks_url or issuer.rstrip("/") + "/.well-known/jwks.json"
        context = ssl_context or ssl.create_default_context()
        txn = profile is Profile.TXN_TOKEN
        demand(
            (is_https(issuer), f"issuer {issuer!r}: not an https URL"),
            (bool(audience), "audience is missing"),
            (isinstance(profile, Profile), f"profile {profile!r} is unknown"),
            (is_https(jwks_url), f"jwks_url {jwks_url!r}: not an https URL"),
            (
                context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname,
                "ssl_context does not verify",
            ),
            (0 < keys_fresh <= keys_stale, f"keys_stale {keys_stale}: not after keys_fresh {keys_fresh}"),
            (refresh_interval > 0, f"refresh_interval {refresh_interval}: not positive"),
            (0 < leeway <= _MAX_LEEWAY, f"leeway {leeway}: not within 0 and {_MAX_LEEWAY}"),
            (max_body > 0, f"max_body {max_body}: not positive"),
            (not broker_id or broker_id.startswith("spiffe://"), f"broker_id {broker_id!r}: not a SPIFFE ID"),
            (
                not (broker_id and tls_elsewhere),
                "broker_id cannot be seen where TLS ends elsewhere (tls_elsewhere)",
            ),
            (
                not (require_confirmation and tls_elsewhere),
                "require_confirmation: the certificate cannot be seen where TLS ends elsewhere (tls_elsewhere)",
            ),
            (
                not (require_confirmation and txn),
                "require_confirmation: a Transaction Token is bound to no certificate",
            ),
            (not origin or is_bare(origin), f"origin {origin!r}: not an absolute http URL without query"),
        )
        self._judge = Judge(
            issuer=issuer,
            audience=audience,
            profile=profile,
            header=header or profile.header,
            origin=origin,
            max_body=max_body,
            leeway=leeway,
            replay=MemoryReplay() if replay is None else replay,
            broker_id=broker_id,
            require_confirmation=require_confirmation,
            tls_elsewhere=tls_elsewhere,
            now=now,
            keys=KeySet(
                JWKSSource(jwks_url, context, _FETCH_TIMEOUT).fetch,
                now=now,
                fresh=keys_fresh,
                stale=keys_stale,
                interval=refresh_interval,
                timeout=_FETCH_TIMEOUT,
            ),
        )

    @property
    def header(self) -> str:
        """The name of the header that carries the assertion."""
        return self._judge.header

    @property
    def max_body(self) -> int:
        """How many bytes of a body are held in memory."""
        return self._judge.max_body

    def verify(
        self, method: str, url: str, headers: Headers, body: bytes, *, peer_certificate: bytes | None = None
    ) -> Claims:
        """Judges a request by the whole list, and raises AssertionRefused by the first fault.

        method, url and body are those that came over the wire: the URL absolute, with its query,
        undecoded. Where origin is set, what stands before the URL's path is not looked at.
        peer_certificate is the DER of the TLS client certificate, and only one that the TLS stack
        has *verified*; None if there is none.

        With Profile.TXN_TOKEN only the header and the connection are looked at.
        """
        claims = self._judge.open(self._judge.values(headers), peer_certificate)
        if self._judge.check_target(claims, method, url):
            self._judge.check_body(claims, body)
        self._judge.finish(claims, method)
        return claims

    async def verify_async(
        self, method: str, url: str, headers: Headers, body: bytes, *, peer_certificate: bytes | None = None
    ) -> Claims:
        """Does as verify without holding up the loop."""
        claims = await self._judge.open_async(self._judge.values(headers), peer_certificate)
        if self._judge.check_target(claims, method, url):
            self._judge.check_body(claims, body)
        await self._judge.finish_async(claims, method)
        return claims

    def verify_token(self, values: Iterable[str], *, peer_certificate: bytes | None = None) -> Claims:
        """Judges a token that came by another way than an HTTP header, such as gRPC's metadata.

        values are all that were found where one is expected. It checks all that verify does but
        method, target, query and body, which there are none of. As it cannot know what is
        idempotent, an assertion of the default profile is accepted once, whatever it is for.
        """
        claims = self._judge.open(values, peer_certificate)
        self._judge.finish(claims, "")
        return claims

    async def verify_token_async(
        self, values: Iterable[str], *, peer_certificate: bytes | None = None
    ) -> Claims:
        """Does as verify_token without holding up the loop."""
        claims = await self._judge.open_async(values, peer_certificate)
        await self._judge.finish_async(claims, "")
        return claims


def judge_of(verifier: Verifier) -> Judge:
    """Gives a verifier's steps to what wraps an application."""
    return verifier._judge
