"""The access check of a worker that a cluster routes to: which names mean this endpoint.

A worker on a laptop knows the only names it has. One in a pod has names that it cannot know: the address of its pod, that of
its Service, the end of a tunnel on somebody's machine. The check keeps pages in a browser out that reach the worker by a name
of their own, so names that such a page cannot have are safe.
"""

import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fairway.server.gate import Gate

_RESOLVER = Path("/etc/resolv.conf")
_SERVICE = ".svc"


class RoutedGate(Gate):
    """The access check of one endpoint behind a Service.

    The names of the Service are accepted with every port, and so are IP addresses and `localhost`. With a key, every name is
    accepted, such as that of an Ingress: the key keeps everybody else out.

    Args:
        hosts: the names of the Service, without a port.
        key_digest: SHA-256 of the key in hex; empty if the endpoint has no key.
    """

    def __init__(self, hosts: Iterable[str], key_digest: str) -> None:
        names = {host.lower() for host in hosts}
        for domain in cluster_domains(_resolver()):
            names |= {f"{name}.{domain}" for name in names if name.endswith(_SERVICE)}
        super().__init__(names, key_digest)
        self._names = frozenset(name.encode() for name in names) | {b"localhost"}
        self._has_key = bool(key_digest)

    def _is_own(self, host: bytes) -> bool:
        if self._has_key:
            return bool(host)
        name, colon, port = host.lower().rpartition(b":")
        if not colon or not port.isdigit():
            name = host.lower()
        if name in self._names:
            return True
        with suppress(ValueError):
            return bool(ipaddress.ip_address(name.decode("latin-1").strip("[]")))
        return False


def cluster_domains(text: str) -> list[str]:
    """Return the domains of a cluster that the settings of a pod's resolver name, such as "cluster.local"."""
    words = [line.split() for line in text.splitlines()]
    return [
        word.removeprefix("svc.").rstrip(".").lower()
        for line in words
        if line[:1] == ["search"]
        for word in line[1:]
        if word.startswith("svc.")
    ]


def _resolver() -> str:
    try:
        return _RESOLVER.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
