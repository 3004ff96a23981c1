"""Schedules on record: what is wanted again and again. It is loaded by most commands, so it loads no event loop."""

import datetime as dt
import hashlib
from itertools import islice

import msgspec

from fairway.engine.requests import refuse_code, refuse_without_file
from fairway.plan.schedule import due_times
from fairway.ports import Clock
from fairway.ports.schedules import ScheduleStore
from fairway.spec import cron
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.event import Body, Event, ScheduleRemoved, ScheduleSet
from fairway.spec.names import is_registered
from fairway.spec.schedule import ScheduleSpec, ScheduleStatus

_LETTERS, _DIGITS = "abcdefghjkmnpqrstuvwxyz", "23456789"
_SHOWN = 10


def zone_of(name: str) -> dt.tzinfo:
    """Return a time zone. Raises UsageError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # most commands know no time zone

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone {name!r}",
            hint='such as "Europe/Berlin" or "UTC"; `pip install tzdata` brings them all',
        ) from None


def run_name(schedule: str, at: int) -> str:
    """Return the name of the run of a due time. It reads like the names of other runs, and is longer."""
    digest = hashlib.sha256(f"{schedule} {at}".encode()).digest()
    return "".join(
        alphabet[byte % len(alphabet)]
        for byte, alphabet in zip(digest[:12], (_LETTERS, _DIGITS) * 6, strict=True)
    )


class Schedules:
    """The schedules on record."""

    def __init__(self, metadata: ScheduleStore, clock: Clock) -> None:
        self._metadata = metadata
        self._clock = clock

    def all(self) -> list[ScheduleStatus]:
        """Return every schedule with its last due times and the next one."""
        now = self._clock.now()
        return [
            msgspec.structs.replace(one, dues=one.dues[-_SHOWN:], next=_next(one.spec, max(now, one.since)))
            for one in self._metadata.schedules()
        ]

    def set(self, spec: ScheduleSpec) -> ScheduleStatus:
        """Keep a schedule from now on, in place of the one with its name. Raises NotAllowed, UsageError."""
        if not is_registered(spec.name):
            raise UsageError(
                f"{spec.name!r} is no name of a schedule", hint="letters, digits, `-`, `_` and `.`"
            )
        cron.parse(spec.cron)
        zone_of(spec.timezone)
        if spec.request.resume or spec.request.name:
            raise UsageError("a schedule starts new runs", hint="`fairway schedule FILE`")
        refuse_without_file(spec.request)
        refuse_code(spec.request)
        self._record(ScheduleSet(spec))
        return next(one for one in self.all() if one.spec.name == spec.name)

    def remove(self, name: str) -> None:
        """Remove a schedule. Raises NotFound."""
        if name not in {one.spec.name for one in self._metadata.schedules()}:
            raise NotFound(f"there is no schedule {name!r}", hint="`fairway schedules` lists them")
        self._record(ScheduleRemoved(name))

    def _record(self, body: Body) -> None:
        self._metadata.append([Event(body=body, time=self._clock.now())])


def _next(spec: ScheduleSpec, after: float) -> int:
    try:
        return next(islice(due_times(cron.parse(spec.cron), zone_of(spec.timezone), after), 1), 0)
    except UsageError:
        return 0
