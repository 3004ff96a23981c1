"""The seams of webhooks: where they are kept, how they are told, and the part of a platform that knows them."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from fairway.spec.event import Event
from fairway.spec.webhook import Answer, NewWebhook, Webhook


class WebhookLog(Protocol):
    """The part of the metadata store that keeps what webhooks are to be told. A write that is acknowledged is durable."""

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        """Queue events for the next group commit. The future gives the last seq once they are durable."""
        ...

    def append(self, events: Sequence[Event]) -> int:
        """Append events, wait until they are durable, and return the last seq."""
        ...

    def notices(self) -> list[Event]:
        """Return the newest facts about messages to webhooks, oldest first."""
        ...


class WebhookStore(Protocol):
    """The place where webhooks are kept, with their addresses and keys."""

    def all(self) -> list[NewWebhook]:
        """Return every webhook, by name."""
        ...

    def put(self, hook: NewWebhook) -> None:
        """Keep a webhook in place of the one with its name. Raises UsageError."""
        ...

    def remove(self, name: str) -> None:
        """Remove a webhook. Raises NotFound."""
        ...


class Post(Protocol):
    """A sender of one message."""

    async def __call__(self, url: str, content: bytes, headers: dict[str, str]) -> Answer:
        """Post a message once. Never raises, and always returns after a few seconds."""
        ...


class Webhooks(Protocol):
    """The part of a platform that knows whom to tell of the end of runs."""

    async def all(self) -> list[Webhook]:
        """Return every webhook, by name, without what could be a secret."""
        ...

    async def put(self, hook: NewWebhook) -> Webhook:
        """Keep a webhook from now on, in place of the one with its name. Raises UsageError."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a webhook. Raises NotFound."""
        ...

    async def test(self, name: str) -> Answer:
        """Post a message that is a test, once. Raises NotFound."""
        ...
