"""The follower of a run by its record: the event log and the output of its attempts.

It works in any process that can read the stores, and goes on from any position that it gave.
"""

import asyncio
from collections.abc import Callable
from itertools import islice

from fairway.plan.following import Position, checksum, read_position
from fairway.ports import Leases, LogStore, MetadataStore
from fairway.spec.errors import NotFound
from fairway.spec.event import MARKS, NOTICES, AttemptEnded, Event, RunEnded
from fairway.spec.update import NOTES, News, Noted, Over, Printed, Recorded, Update, Waits
from fairway.spec.wire import DRIVER

_LOOK_SECONDS = 0.1
_EVENTS = 500
_BYTES = 512 * 1024
"""Events and bytes of output that one answer holds at most."""

_PIECE = 128 * 1024
"""Bytes of an attempt's output that are read at once. This is more than the longest line."""

_BESIDE = (*MARKS, *NOTICES)

Waiting = Callable[[str], tuple[str, str]]
"""Function that returns the step of a run that waits for room, and the run that it waits for; empty texts without one."""


class RecordFollower:
    """The reader of updates of runs from the stores."""

    def __init__(self, metadata: MetadataStore, logs: LogStore, leases: Leases, waiting: Waiting) -> None:
        self._metadata = metadata
        self._logs = logs
        self._leases = leases
        self._waiting = waiting

    async def updates(self, run: str, after: str, wait: float) -> list[Update]:
        """Return a bounded part of the updates after a position. Wait for them at most `wait` seconds.

        Raises:
            NotFound: there is no such run.
            UsageError: `after` is no position.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            found = await asyncio.to_thread(self.read, run, after)
            left = until - loop.time()
            if found or left <= 0:
                return found
            await asyncio.sleep(min(_LOOK_SECONDS, left))

    def read(self, run: str, after: str) -> list[Update]:
        """Return the updates that are there now after a position."""
        position = read_position(after)
        # Ask for the engine before reading. If it was gone by then, all that it wrote is read below.
        at_work = self._leases.holder(run)
        recorded = self._metadata.events(max(position.seq - 1, 0), run)
        # What comes after the end of a run is none of its updates, and would hide the end.
        events = list(islice((one for one in recorded if not isinstance(one.body, _BESIDE)), _EVENTS))
        if not events:
            raise NotFound(f"there is no run {run!r}", hint="`fairway runs` lists them")
        last = events[-1].body
        if events[0].seq == position.seq:
            del events[0]
        reading = _Reading(self._logs, run, position)
        reading.take(events)
        if reading.found:
            return reading.found
        if isinstance(last, RunEnded):
            return [Update(Over(last, tuple(self._metadata.registered_by(run))), position.text())]
        if not at_work:
            return [Update(Over(), position.text())]
        return self._waits(run, position)

    def _waits(self, run: str, position: Position) -> list[Update]:
        step, whom = self._waiting(run)
        number = checksum(step, whom)
        if number == position.waits:
            return []
        position.waits = number
        return [Update(Waits(step, whom), position.text())]


class _Reading:
    """An answer that is being put together."""

    def __init__(self, logs: LogStore, run: str, position: Position) -> None:
        self._logs = logs
        self._run = run
        self._position = position
        self._attempts = logs.attempts(run)
        self._left = _BYTES
        self.found: list[Update] = []

    def take(self, events: list[Event]) -> None:
        """Add events, each after the output that belongs before it, then output of running attempts."""
        caught_up = len(events) < _EVENTS - 1
        places = {attempt: place for place, attempt in enumerate(self._attempts)}
        for event in events:
            body = event.body
            if isinstance(body, AttemptEnded):
                self._drain_pipeline()
                # An ended attempt needs no offset any more. To drop it keeps positions short.
                place = places.get((event.step, body.number))
                if place is not None and not self._drain(place):
                    return
            elif isinstance(body, RunEnded) and not self._drain_all(all_known=caught_up):
                return
            self._position.seq = event.seq
            self._add(Recorded(event))
        # If more events follow, most attempts have ended. To meet them here would make positions long.
        if caught_up:
            self._drain_all(all_known=True)

    def _drain(self, place: int) -> bool:
        """Add all output of an ended attempt and forget its offset. Return False when there is no room for the output."""
        self._position.meet(place + 1)
        if place in self._position.offsets:
            if not self._output(place):
                return False
            del self._position.offsets[place]
        return True

    def _drain_pipeline(self) -> None:
        """Add the pipeline's own output so far. It was probably printed before the steps ended."""
        for place in list(self._position.offsets):
            if place < len(self._attempts) and self._attempts[place][0] == DRIVER:
                self._output(place)

    def _drain_all(self, *, all_known: bool) -> bool:
        """Add output of running attempts, and with `all_known` of new ones. Return False when there is no room for it."""
        if all_known:
            self._position.meet(len(self._attempts))
        whole = True
        for place in list(self._position.offsets):
            whole = self._output(place) and whole
        return whole

    def _output(self, place: int) -> bool:
        if place >= len(self._attempts):
            return True  # a position that we did not give
        step, attempt = self._attempts[place]
        while self._left > 0:
            offset = self._position.offsets[place]
            lines, behind = self._logs.read(self._run, step, attempt, offset, _PIECE)
            if not lines:
                return True
            self._left -= behind - offset
            self._position.offsets[place] = behind
            if step == NOTES:
                for _, text in lines:
                    self._add(Noted(text))
            else:
                self._add(Printed(step, attempt, "".join(f"{text}\n" for _, text in lines).encode()))
        return False

    def _add(self, news: News) -> None:
        self.found.append(Update(news, self._position.text()))
