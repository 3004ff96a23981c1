"""The rules for addresses to which a webhook may post."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from fairway.spec.errors import UsageError

_LONGEST = 2048
_PORTS = {"https": 443, "http": 80}
_HINT = "an address is such as `https://example.org/hook`"

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    )
)
"""The addresses at which clouds hand out credentials to whatever runs on their machines."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parts(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address. Raises UsageError, whose text never has the address in it."""
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UsageError("the address of the webhook has characters that no address has", hint=_HINT)
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise UsageError("the address of the webhook cannot be read", hint=_HINT) from None
    if split.scheme not in _PORTS or not split.hostname or not _is_whole(split):
        raise UsageError("the address of a webhook begins with https:// or http:// and a host", hint=_HINT)
    if "@" in split.netloc:
        raise UsageError(
            "the address of the webhook has a user or a password before its host",
            hint="leave them out, and sign messages with `--key-from` instead",
        )
    return split.scheme, split.hostname, port or _PORTS[split.scheme]


def place(url: str) -> str:
    """Return scheme and host of an address, which may be shown. Raises UsageError."""
    scheme, host, port = parts(url)
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}" if port == _PORTS[scheme] else f"{scheme}://{named}:{port}"


def literal(host: str) -> Address | None:
    """Return the host as an address of the internet protocol; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def refusal(address: Address, *, shared: bool) -> str:
    """Return why nothing may be posted to an address, as words that follow "it"; empty if it may.

    Args:
        shared: true for a platform that works for several people. Its own machine is not theirs, so loopback is refused too.
    """
    for one in _all_of(address):
        if one in _METADATA:
            return "leads to a metadata service of a cloud"
        if one.is_link_local:
            return "leads to a link-local address"
        if one.is_unspecified or one.is_multicast or str(one) == "255.255.255.255":
            return "leads to no host"
        if shared and one.is_loopback:
            return "leads to the machine of the platform itself"
    return ""


def _all_of(address: Address) -> list[Address]:
    """Return an address with the addresses of version 4 that it may stand for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inside = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64 or int(address) < 2**32:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(one for one in inside if one is not None)] if int(address) > 1 else [address]


def _is_whole(split: SplitResult) -> bool:
    """Tell whether a host has no zone, and an address no fragment."""
    return "%" not in split.netloc and not split.fragment
