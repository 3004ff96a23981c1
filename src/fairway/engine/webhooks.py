"""The webhooks of a platform: they are set, listed, tried and removed, and changes are put on record.

Must not know how a webhook is kept.
"""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from fairway.engine.aside import Aside
from fairway.ports import Clock, MetadataStore
from fairway.ports.webhooks import WebhookStore
from fairway.spec import webhook_addresses as addresses
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.event import Body, Event, WebhookRemoved, WebhookSet
from fairway.spec.names import check_registered, is_declared
from fairway.spec.webhook import Answer, NewWebhook, Notice, Webhook

if TYPE_CHECKING:
    from fairway.engine.posting import Postman

_SHORTEST_KEY = 16
_LONGEST_KEY = 1024


class Webhooks:
    """The webhooks of a platform in this process.

    Args:
        open: opens the place where webhooks are kept.
        postman: makes the postman, which posts the message of a test.
        metadata: the record.
        clock: the time.
        aside: calls functions that block.
        shared: true for a platform that works for several people.
    """

    def __init__(
        self,
        open: Callable[[], WebhookStore],
        postman: "Callable[[], Postman]",
        metadata: MetadataStore,
        clock: Clock,
        aside: Aside,
        *,
        shared: bool,
    ) -> None:
        self._open = open
        self._postman = postman
        self._metadata = metadata
        self._clock = clock
        self._aside = aside
        self._shared = shared

    async def all(self) -> list[Webhook]:
        """Return every webhook, by name, without what could be a secret."""
        return await self._aside(lambda: [_shown(one) for one in self._open().all()])

    async def put(self, hook: NewWebhook) -> Webhook:
        """Keep a webhook from now on, in place of the one with its name. Raises UsageError."""
        self._check(hook)
        return await self._aside(self._put, hook)

    async def remove(self, name: str) -> None:
        """Remove a webhook. Raises NotFound."""
        await self._aside(self._remove, name)

    async def test(self, name: str) -> Answer:
        """Post a message that is a test, once. Raises NotFound."""
        hook = await self._aside(self._named, name)
        now = self._clock.now()
        notice = Notice(
            id=secrets.token_hex(16),
            run="test",
            pipeline=hook.pipeline or "test",
            project="",
            ending=None,
            started=now,
            ended=now,
        )
        return await self._postman().once(hook, notice)

    def _check(self, hook: NewWebhook) -> None:
        check_registered(hook.name)
        _, host, _ = addresses.parts(hook.url)
        literal = addresses.literal(host)
        why = addresses.refusal(literal, shared=self._shared) if literal is not None else ""
        if why:
            raise UsageError(
                f"the address of the webhook {why}", hint="name the address of a receiver elsewhere"
            )
        if not hook.on:
            raise UsageError("a webhook is told of no end of a run", hint="`--on failure`")
        if hook.pipeline and not is_declared(hook.pipeline):
            raise UsageError(
                f"{hook.pipeline[:80]!r} is no name of a pipeline", hint="`fairway runs` lists them"
            )
        if hook.key and not _SHORTEST_KEY <= len(hook.key) <= _LONGEST_KEY:
            raise UsageError(
                f"a key has {_SHORTEST_KEY} to {_LONGEST_KEY} characters, and this one has {len(hook.key)}",
                hint="`openssl rand -hex 32` makes a good one",
            )

    def _named(self, name: str) -> NewWebhook:
        """Return the webhook of a name. Raises NotFound."""
        hook = next((one for one in self._open().all() if one.name == name), None)
        if hook is None:
            raise NotFound(f"there is no webhook {name[:80]!r}", hint="`fairway webhooks` lists them")
        return hook

    def _put(self, hook: NewWebhook) -> Webhook:
        self._metadata.require_own()
        self._open().put(hook)
        shown = _shown(hook)
        self._note(WebhookSet(shown))
        return shown

    def _remove(self, name: str) -> None:
        self._metadata.require_own()
        self._open().remove(name)
        self._note(WebhookRemoved(name))

    def _note(self, body: Body) -> None:
        self._metadata.append([Event(body=body, time=self._clock.now())])


def _shown(hook: NewWebhook) -> Webhook:
    return Webhook(
        name=hook.name,
        place=addresses.place(hook.url),
        on=hook.on,
        pipeline=hook.pipeline,
        signed=bool(hook.key),
    )
