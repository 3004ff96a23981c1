"""The positions of the output of attempts, with which a control plane knows what it has received before.

The session with a control plane ends when that is killed. Then the pod sends again what was not acknowledged, and some of it may
be in the logs already.
"""

import msgspec

from fairway.spec.wire import Log, Sent, decode_from_host, frame

_NOT_OUTPUT = 64
_MARK = b"\xa3log"
"""The name of the messages with output, as it is encoded near their beginning."""


class Positions:
    """The positions of all output that this pod sends.

    Args:
        origin: the name of the host, which no other pod has.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._sent: dict[tuple[str, int], int] = {}

    def with_position(self, content: bytes) -> bytes:
        """Return an encoded message of the host, with its position if it is output of an attempt."""
        if _MARK not in content[:_NOT_OUTPUT]:
            return content
        message = decode_from_host(content)
        if not isinstance(message, Log):
            return content
        key = message.step, message.attempt
        offset = self._sent.get(key, 0)
        self._sent[key] = offset + len(message.data)
        return frame(msgspec.structs.replace(message, sent=Sent(self._origin, offset)))[4:]
