"""The one gate in front of every route: exact Host and Origin, no cross-site fetches, the key where there is one.

Nothing is reached that no rule lets through. Knows no route's meaning, only its policy.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Literal

from fairway.server.answers import Refusal

Policy = Literal["public", "open"]
"""Of a route: "public" answers anybody who passes Host and Origin; "open" also wants the key when the endpoint has one."""

Headers = Iterable[tuple[bytes, bytes]]


class Gate:
    """Decides whether a request may go on.

    Args:
        hosts: values of the Host header that are accepted.
        key_digest: sha256, in hex, of the key; empty when none is needed.
    """

    def __init__(self, hosts: Iterable[str], key_digest: str) -> None:
        self._hosts = frozenset(host.encode() for host in hosts)
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._key_digest = key_digest

    def check(self, headers: Headers, policy: Policy) -> None:
        """Do nothing when the request may go on. Raises Refusal 403 or 401."""
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
                authorization = value if not authorization else b"twice"
        if hosts != 1 or (host not in self._hosts and host.lower() not in self._hosts):
            raise Refusal(403, "this host name is not accepted")
        if self._key_digest and policy != "public":
            self._check_key(authorization)

    def _check_key(self, authorization: bytes) -> None:
        scheme, _, key = authorization.partition(b" ")
        digest = hashlib.sha256(key.strip()).hexdigest()
        if scheme.lower() != b"bearer" or not hmac.compare_digest(digest, self._key_digest):
            raise Refusal(401, "a key is needed", headers=((b"www-authenticate", b"Bearer"),))
