"""The keeper of schedules: each due time starts one run.

The name of the run of a due time follows from the schedule and the time. So a process that died after it began the run,
and before that was on record, finds the run and starts no second one. Must not know who carries a run out.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from fairway.engine.names import is_known
from fairway.engine.schedules import run_name, zone_of
from fairway.plan.schedule import Passed, due_times, passed
from fairway.ports import Clock
from fairway.ports.schedules import ScheduleStore
from fairway.spec import cron
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.event import Event, ScheduleDue
from fairway.spec.run import RunRequest
from fairway.spec.schedule import Due, Fate, ScheduleSpec, ScheduleStatus

_POLL_SECONDS = 5.0
"""Seconds between two looks at the schedules and at the clock, which may have been set meanwhile."""

_LONGEST_WHY = 500


class Scheduler:
    """The keeper of the schedules of a platform.

    Args:
        submit: starts a run and returns its name once it is on record.
        is_at_work: tells whether a run goes on.
        say: takes lines for the log.
    """

    def __init__(
        self,
        metadata: ScheduleStore,
        clock: Clock,
        submit: Callable[[RunRequest], Awaitable[str]],
        is_at_work: Callable[[str], bool],
        say: Callable[[str], None],
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._submit = submit
        self._is_at_work = is_at_work
        self._say = say

    async def keep(self) -> None:
        """Start the runs that are due, for as long as the platform is up."""
        while True:
            try:
                pause = await self.turn()
            except FairwayError as error:
                self._say(f"schedules could not be read: {error.message}")
                pause = _POLL_SECONDS
            await asyncio.sleep(pause)

    async def turn(self) -> float:
        """Decide on the due times that have passed. Return the seconds until the next look."""
        now = self._clock.now()
        pause = _POLL_SECONDS
        for one in await asyncio.to_thread(self._metadata.schedules):
            try:
                read, zone = cron.parse(one.spec.cron), zone_of(one.spec.timezone)
            except UsageError as error:
                self._say(f"schedule {one.spec.name} cannot be kept: {error.message}")
                continue
            due = passed(read, zone, one.since, [due.at for due in one.dues], now)
            if due is not None:
                await self._decide(one, due)
            following = next(due_times(read, zone, max(now, one.since)), None)
            if following is not None:
                pause = min(pause, max(0.05, following - now))
        return pause

    async def _decide(self, status: ScheduleStatus, due: Passed) -> None:
        """Start the run of a due time, unless the run before is at work, and put the outcome on record."""
        name = run_name(status.spec.name, due.at)
        made = Due(at=due.at, fate=Fate.STARTED, run=name, missed=due.missed)
        before = next((one.run for one in reversed(status.dues) if one.fate is Fate.STARTED), "")
        if not await self._is_known(name):
            if before and await asyncio.to_thread(self._is_at_work, before):
                made = msgspec.structs.replace(made, fate=Fate.OVERLAPPED, run=before)
            else:
                made = await self._started(status.spec, made)
        self._say(f"schedule {status.spec.name}: {made.fate} {made.run} {made.why}".rstrip())
        event = Event(body=ScheduleDue(status.spec.name, made), time=self._clock.now())
        await asyncio.wrap_future(self._metadata.submit([event]))

    async def _started(self, spec: ScheduleSpec, due: Due) -> Due:
        request = msgspec.structs.replace(spec.request, name=due.run, key=due.run)
        try:
            await self._submit(request)
        except FairwayError as error:
            # The process that carries the run out may be at work on its beginning still, since the last platform process.
            if not await self._is_known(due.run):
                return msgspec.structs.replace(
                    due, fate=Fate.FAILED, run="", why=error.message[:_LONGEST_WHY]
                )
        return due

    async def _is_known(self, run: str) -> bool:
        return await asyncio.to_thread(is_known, self._metadata, run)
