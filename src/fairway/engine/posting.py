"""The postman of webhooks: it posts the messages that are on record and records what became of each.

A message is posted again if a process died between the post and the record. So a receiver gets each message at least once, or
its outcome says why not. Must not know how a message travels.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

from fairway.plan import webhooks
from fairway.ports import Clock
from fairway.ports.webhooks import Post, WebhookLog, WebhookStore
from fairway.spec.errors import FairwayError
from fairway.spec.event import Event, RunEnded, WebhookDue, WebhookPosted
from fairway.spec.run import RunSpec
from fairway.spec.webhook import Answer, NewWebhook, Notice

_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.1


def due(
    hooks: WebhookStore, clock: Clock, spec: RunSpec, started: float, ended: RunEnded
) -> WebhookDue | None:
    """Return the fact that webhooks have to be told of the end of a run; None if none wants to know."""
    names = webhooks.wanted(hooks.all(), spec.pipeline, ended.phase)
    if not names:
        return None
    times = (started, clock.now())
    return WebhookDue(webhooks.notice(secrets.token_hex(16), spec, times, ended.phase, ended.failure), names)


def waiting(events: Sequence[Event], now: float) -> dict[str, list[WebhookDue]]:
    """Return the messages that have no outcome yet, by webhook, oldest first.

    Args:
        events: the facts about messages, oldest first.
        now: the present time. What is too old to be news waits no longer.
    """
    told = {(one.body.notice, one.body.hook) for one in events if isinstance(one.body, WebhookPosted)}
    found: dict[str, list[WebhookDue]] = {}
    for event in events:
        body = event.body
        if isinstance(body, WebhookDue) and now - event.time < webhooks.OLDEST:
            for hook in body.hooks:
                if (body.notice.id, hook) not in told:
                    found.setdefault(hook, []).append(body)
    return found


class Postman:
    """The postman of one store.

    Args:
        log: the record.
        hooks: the place where webhooks are kept.
        post: posts one message once.
        page: returns the address of a run's page; empty if there is none.
        clean: takes secrets out of a text.
    """

    def __init__(
        self,
        log: WebhookLog,
        hooks: WebhookStore,
        clock: Clock,
        post: Post,
        page: Callable[[str], str],
        clean: Callable[[str], str],
    ) -> None:
        self._log = log
        self._hooks = hooks
        self._clock = clock
        self._post = post
        self._page = page
        self._clean = clean

    async def keep(
        self, alone: Callable[[], AbstractContextManager[bool]], say: Callable[[str], None]
    ) -> None:
        """Post the messages of this store for as long as the platform is up.

        Args:
            alone: gives True while this process alone posts for the store.
            say: takes lines for the log.
        """
        while True:
            try:
                await self.empty(alone)
            except (FairwayError, OSError) as error:
                say(f"webhooks could not be told: {error}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def empty(self, alone: Callable[[], AbstractContextManager[bool]]) -> int:
        """Post the messages that wait, unless another process does, and return their number. Raises FairwayError, OSError.

        Args:
            alone: gives True while this process alone posts for the store.
        """
        count = 0
        # Look again after the lock is let go: whoever found it taken meanwhile relies on this process.
        while await asyncio.to_thread(self._is_due):
            with alone() as is_alone:
                if not is_alone:
                    break
                count += await self._deliver()
        return count

    async def finish(self, alone: Callable[[], AbstractContextManager[bool]]) -> int:
        """Post the messages that wait, wait until other processes have posted theirs, and return the number of the own ones.

        Args:
            alone: gives True while this process alone posts for the store.

        Raises:
            FairwayError, OSError: the record or the webhooks cannot be read.
        """
        count = await self.empty(alone)
        while await asyncio.to_thread(self._is_due):
            await asyncio.sleep(_PAUSE_SECONDS)
            count += await self.empty(alone)
        return count

    async def _deliver(self) -> int:
        """Post all messages that wait, and return their number. Each webhook is told apart from the others."""
        count = 0
        while found := await asyncio.to_thread(self._waiting):
            count += sum(map(len, found.values()))
            await asyncio.gather(*(self._post_all(hook, dues) for hook, dues in found.items()))
        return count

    def _is_due(self) -> bool:
        """Tell whether anything waits. Without a webhook, the record is not asked."""
        return bool(self._hooks.all()) and bool(self._waiting())

    def _waiting(self) -> dict[str, list[WebhookDue]]:
        return waiting(self._log.notices(), self._clock.now())

    async def _post_all(self, name: str, dues: list[WebhookDue]) -> None:
        hook = next((one for one in await asyncio.to_thread(self._hooks.all) if one.name == name), None)
        for place, due in enumerate(dues):
            if hook is None:
                tries, answer = 0, Answer(why="the webhook was removed before")
            elif len(dues) - place > webhooks.MOST_WAITING:
                tries, answer = 0, Answer(why="too many messages waited for this webhook")
            else:
                tries, answer = await self._tried(hook, due.notice)
            posted = WebhookPosted(
                notice=due.notice.id,
                hook=name,
                delivered=not answer.why,
                status=answer.status,
                tries=tries,
                why=answer.why,
            )
            event = Event(body=posted, run=due.notice.run, time=self._clock.now())
            await asyncio.wrap_future(self._log.submit([event]))

    async def _tried(self, hook: NewWebhook, notice: Notice) -> tuple[int, Answer]:
        """Post a message until it is taken, or as often as it may be tried. Return the number of tries and the last answer."""
        tries = 0
        while True:
            answer = await self.once(hook, notice)
            tries += 1
            if answer.final or tries == webhooks.TRIES:
                return tries, answer
            await asyncio.sleep(webhooks.PAUSES[tries - 1])

    async def once(self, hook: NewWebhook, notice: Notice) -> Answer:
        """Post a message once."""
        url = ""
        with suppress(FairwayError, OSError):
            url = self._page(notice.run)
        content = webhooks.body(notice, url, self._clean)
        headers = webhooks.headers(content, notice.id, hook.key, self._clock.now())
        return await self._post(hook.url, content, headers)
