"""The access check before every route: exact Host and Origin, no requests from other sites, and the key of the endpoint.

A request that no rule permits is refused. Knows the policy of a route and nothing else about it.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Literal

from fairway.server.answers import Refusal

Policy = Literal["public", "open"]
"""The policy of a route. "public" checks Host and Origin. "open" also checks the key of an endpoint that has one."""

Headers = Iterable[tuple[bytes, bytes]]


class Gate:
    """The access check of one endpoint.

    Args:
        hosts: values of the Host header that are accepted.
        key_digest: SHA-256 of the key in hex; empty if the endpoint has no key.
    """

    def __init__(self, hosts: Iterable[str], key_digest: str) -> None:
        self._hosts = frozenset(host.encode() for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._key_digest = key_digest

    def check(self, headers: Headers, policy: Policy) -> None:
        """Check the headers of a request. Raises Refusal 403 or 401."""
        host = authorization = b""
        hosts = 0
        for name, value in headers:
            if name == b"host":
                host = value
                hosts += 1
            elif name == b"origin":
                if value not in self._origins:
                    raise Refusal(403, "requests from other origins are not accepted")
            elif name == b"sec-fetch-site":
                if value not in (b"same-origin", b"none"):
                    raise Refusal(403, "requests from other sites are not accepted")
            elif name == b"authorization":
                # Two of them are refused: a proxy could have checked the other one.
                authorization = value if not authorization else b"twice"
        if hosts != 1 or not (host in self._hosts or host.lower() in self._hosts or self._is_own(host)):
            raise Refusal(403, "this host name is not accepted")
        if self._key_digest and policy != "public":
            self._check_key(authorization)

    def _is_own(self, host: bytes) -> bool:
        """Tell whether a name that is not among the accepted ones is accepted all the same."""
        return False

    def _check_key(self, authorization: bytes) -> None:
        scheme, _, key = authorization.partition(b" ")
        digest = hashlib.sha256(key.strip()).hexdigest()
        if scheme.lower() != b"bearer" or not hmac.compare_digest(digest, self._key_digest):
            raise Refusal(401, "a key is needed", headers=((b"www-authenticate", b"Bearer"),))
