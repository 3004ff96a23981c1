"""The webhooks of a store, in a file that only its owner can read, and the lock of whoever posts for the store.

Must not know what a webhook is told, or when.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fairway import confined
from fairway.local import locking
from fairway.local.sealed_file import SealedFile
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.webhook import NewWebhook

_MOST = 20


class WebhookFile:
    """The webhooks of one store. Several processes may use them at once, and each sees a change of another at once."""

    def __init__(self, file: SealedFile) -> None:
        self._file = file
        self._stamp: tuple[int, int] = (0, 0)
        self._known: list[NewWebhook] = []

    def all(self) -> list[NewWebhook]:
        """Return every webhook, by name."""
        stamp = self._file.stamp()
        if stamp != self._stamp:
            try:
                self._known = msgspec.json.decode(self._file.read() or b"[]", type=list[NewWebhook])
            except UNREADABLE:
                self._known = []
            self._stamp = stamp
        return self._known

    def put(self, hook: NewWebhook) -> None:
        """Keep a webhook in place of the one with its name. Raises UsageError."""
        with self._file.changing():
            others = [one for one in self.all() if one.name != hook.name]
            if len(others) >= _MOST:
                raise UsageError(
                    f"there are {_MOST} webhooks already", hint="remove one: `fairway webhooks rm NAME`"
                )
            self._write([*others, hook])

    def remove(self, name: str) -> None:
        """Remove a webhook. Raises NotFound."""
        with self._file.changing():
            known = self.all()
            left = [one for one in known if one.name != name]
            if len(left) == len(known):
                raise NotFound(f"there is no webhook {name[:80]!r}", hint="`fairway webhooks` lists them")
            self._write(left)

    def _write(self, hooks: list[NewWebhook]) -> None:
        self._file.write(msgspec.json.encode(sorted(hooks, key=lambda one: one.name)))


@contextmanager
def posting_alone(root: Path) -> Generator[bool, None, None]:
    """Give True for a block if no other process posts for the store. The lock ends with the process that holds it."""
    os.makedirs(root, confined.PRIVATE_FOLDER, exist_ok=True)
    path = str(root / "platform" / "posting.lock")
    fd = confined.open_below(str(root), path, os.O_RDWR | os.O_CREAT, made=confined.not_durable)
    try:
        yield locking.take(fd)
    finally:
        os.close(fd)
