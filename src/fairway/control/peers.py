"""The user of this machine behind a connection on loopback, as the kernel of Linux tells it.

A cookie of 127.0.0.1 reaches the servers of every user, and everybody reads an address in the list of processes. So both count
only for the user who used them first. Must not know what is asked.
"""

import socket
import struct
import sys
from collections.abc import MutableMapping
from typing import Any

_DIAGNOSIS = 4
"""The netlink protocol that tells about sockets."""

_BY_FAMILY = 20
_REQUEST = 1
_HEAD = struct.Struct("=IHHII")
_SOCKET = struct.Struct("=BBBBI2s2s4s12s4s12sIII")
_USER = struct.Struct("=I")
_USER_AT = 80
_ANY = 0xFFFFFFFF
_SECONDS = 0.5
_LOOPBACK = "127.0.0.1"
_ROOT = 0


class Peers:
    """The users behind connections."""

    def user(self, scope: MutableMapping[str, Any]) -> int | None:
        """Return the user id behind the connection of a request.

        None if nobody can tell, and for root. Root may do everything anyway, and forwards the connections of others into
        containers, pods and virtual machines.
        """
        try:
            (client, port), (_, served) = scope["client"], scope["server"]
        except (KeyError, TypeError, ValueError):
            return None
        if client != _LOOPBACK or sys.platform != "linux":
            return None
        found = _owner(int(port), int(served))
        return found if found != _ROOT else None


def is_other(first: int | None, now: int | None) -> bool:
    """Tell whether two users are known, and are not the same."""
    return first is not None and now is not None and first != now


def _owner(port: int, other: int) -> int | None:
    """Return the user whose socket on loopback leads from a port to another one; None if the kernel does not tell.

    The kernel looks one socket up by its ends. The list of all sockets would take milliseconds.
    """
    ends = (port.to_bytes(2, "big"), other.to_bytes(2, "big"))
    here = socket.inet_aton(_LOOPBACK)
    asked = _SOCKET.pack(
        socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ANY, *ends, here, b"", here, b"", 0, _ANY, _ANY
    )
    head = _HEAD.pack(_HEAD.size + len(asked), _BY_FAMILY, _REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAGNOSIS) as line:
            line.settimeout(_SECONDS)
            line.sendto(head + asked, (0, 0))
            told = line.recv(4096)
    except OSError:
        return None
    if len(told) < _USER_AT + _USER.size or _HEAD.unpack_from(told)[1] != _BY_FAMILY:
        return None
    return int(_USER.unpack_from(told, _USER_AT)[0])
