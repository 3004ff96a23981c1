"""The headers that every answer of a platform carries, whoever made it: nothing is kept, guessed, framed or run.

Must not know what is answered.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_SAFE: Headers = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


def safeguarded(send: Send, answered: Callable[[int], None]) -> Send:
    """Return a function that sends an answer with every header of this module that the answer lacks.

    Args:
        send: sends the messages of an answer.
        answered: takes the status of the answer.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = cast("Headers", [*message.get("headers", ())])
            names = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in _SAFE if name not in names]
            message = {**message, "headers": headers}
            answered(message["status"])
        await send(message)

    return sending
