"""The outbox of webhooks: it adds to the end of a run the fact that webhooks have to be told of it.

Both facts are recorded together. So a process that dies right after that leaves the message on record, and another one posts it.
Every run loads this module, so it loads nothing. Must not know where webhooks are kept, or how a message is posted.
"""

from collections.abc import Callable
from contextlib import suppress

from fairway.engine.aside import Aside, at_once
from fairway.spec.errors import FairwayError
from fairway.spec.event import RunEnded, WebhookDue
from fairway.spec.run import RunSpec

Due = Callable[[RunSpec, float, RunEnded], WebhookDue | None]
"""Function that returns the fact that webhooks have to be told of the end of a run that started at a time."""


class Outbox:
    """The outbox of one store.

    Args:
        due: returns the fact to record; None if no webhook is to be told.
        wake: has the messages posted that are on record, and returns at once.
        aside: calls `facts`, which reads a file.
    """

    def __init__(
        self,
        due: Due = lambda spec, started, ended: None,
        wake: Callable[[], object] = lambda: None,
        aside: Aside = at_once,
    ) -> None:
        self._due = due
        self._wake = wake
        self._aside = aside
        self._is_due = False

    def facts(self, spec: RunSpec, started: float, ended: RunEnded) -> tuple[WebhookDue | RunEnded, ...]:
        """Return the end of a run with the message about it, in the order in which both are recorded."""
        due: WebhookDue | None = None
        # A run ends as it ended, whether or not anybody can be told of it.
        with suppress(FairwayError, OSError):
            due = self._due(spec, started, ended)
        if due is None:
            return (ended,)
        self._is_due = True
        return (due, ended)

    async def facts_aside(
        self, spec: RunSpec, started: float, ended: RunEnded
    ) -> tuple[WebhookDue | RunEnded, ...]:
        """Return what `facts` returns, for code on an event loop. Other runs on that loop do not wait for the disk."""
        return await self._aside(self.facts, spec, started, ended)

    def recorded(self) -> None:
        """Let messages be posted, if there are any, now that their facts are durable."""
        if self._is_due:
            self._is_due = False
            self._wake()


NOBODY = Outbox()
"""The outbox of a place without webhooks."""
