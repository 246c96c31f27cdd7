"""What the SPIFFE library of another house makes of our Workload API.

It is run with the socket's address and our trust domain, prints what it was given as
one line of JSON, and the serial number that follows a rotation as a second line.
"""

import json
import sys
import time

from cryptography.x509 import SubjectAlternativeName, UniformResourceIdentifier
from spiffe import JwtSource, TrustDomain, WorkloadApiClient, X509Source

address, domain = sys.argv[1], TrustDomain(sys.argv[2])


def snapshot(source):
    return source.get_x509_context().default_svid


def main():
    with X509Source(socket_path=address, timeout_in_seconds=10) as source:
        svid = snapshot(source)
        authorities = source.get_bundle_for_trust_domain(domain).x509_authorities
        (authority,) = authorities
        svid.leaf.verify_directly_issued_by(authority)
        names = svid.leaf.extensions.get_extension_for_class(SubjectAlternativeName).value

        with JwtSource(socket_path=address, timeout_in_seconds=10) as jwts:
            token = jwts.fetch_svid(audience={"onedoor"})
            keys = jwts.get_bundle_for_trust_domain(domain).jwt_authorities
        with WorkloadApiClient(socket_path=address, default_timeout=10) as client:
            valid = client.validate_jwt_svid(token.token, "onedoor")
            try:
                client.validate_jwt_svid(token.token, "somebody else")
                refused = False
            except Exception:
                refused = True

        say(
            spiffe_id=str(svid.spiffe_id),
            uris=names.get_values_for_type(UniformResourceIdentifier),
            serial=str(svid.leaf.serial_number),
            jwt_id=str(valid.spiffe_id),
            jwt_keys=len(keys),
            wrong_audience_refused=refused,
        )

        deadline = time.monotonic() + 10
        while snapshot(source).leaf.serial_number == svid.leaf.serial_number:
            if time.monotonic() > deadline:
                sys.exit("no rotation was seen")
            time.sleep(0.02)
        say(serial=str(snapshot(source).leaf.serial_number))


def say(**facts):
    print(json.dumps(facts), flush=True)


main()
