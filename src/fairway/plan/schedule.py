"""The due times of schedules, and the decision about those that have passed.

Three rules hold. A due time starts one run. Of several due times that passed while no platform was there, the newest starts
a run, and the others are counted as missed. A due time that comes while the run before is at work starts nothing.

A time of the day that the clocks skip in spring counts as the same time after the jump: 02:30 is then 03:30. A time that
comes twice in autumn counts once, the first time. Schedules for every hour are intervals, so they go on in real time: both
of the repeated hours count, and the skipped one does not.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from itertools import islice

import msgspec

from fairway.spec.cron import Cron

_DAY = dt.timedelta(days=1)
_MOST_DAYS = 366 * 8 + 2
"""Days that are looked through for a due time. The 29th of February may be eight years away."""

MOST_MISSED = 1000
"""The most missed due times that are counted."""

_SHORT, _LONG = 3600.0, 45 * 86_400.0
"""Seconds before now in which due times are looked for first, because most schedules are due that often."""


class Passed(msgspec.Struct, frozen=True):
    """A due time that is to be decided on now, and the number of those that were missed before it."""

    at: int
    missed: int = 0


def due_times(cron: Cron, zone: dt.tzinfo, after: float) -> Iterator[int]:
    """Yield the due times after a time, in order, in seconds since the epoch."""
    last = after
    # From the day before, because clocks that are put back at midnight make a day end after the next one began.
    day = dt.datetime.fromtimestamp(after, zone).date() - _DAY
    without = 0
    while without < _MOST_DAYS and day.year < dt.MAXYEAR:
        without += 1
        if cron.is_day(day.month, day.day, day.isoweekday() % 7):
            for moment in _of_day(cron, zone, day):
                if moment > last:
                    last, without = moment, 0
                    yield moment
        day += _DAY


def passed(cron: Cron, zone: dt.tzinfo, since: float, handled: Collection[int], now: float) -> Passed | None:
    """Return the due time that is to be decided on, or None if there is none.

    Args:
        since: the time from which on the schedule holds.
        handled: the due times that were decided on. None of them comes a second time, even if the clock is put back.
    """
    known = frozenset(handled)
    base = max((float(at) for at in handled if at <= now), default=since)
    base = max(base, since)
    newest = None
    # A schedule of every minute has half a million due times in a year, and only the newest of them matters.
    for begin in (max(base, now - _SHORT), max(base, now - _LONG), base):
        for at in _until(cron, zone, begin, now):
            newest = at if at not in known else newest
        if newest is not None:
            earlier = (at for at in _until(cron, zone, base, newest - 1) if at not in known)
            return Passed(newest, sum(1 for _ in islice(earlier, MOST_MISSED)))
    return None


def _until(cron: Cron, zone: dt.tzinfo, begin: float, now: float) -> Iterator[int]:
    for at in due_times(cron, zone, begin):
        if at > now:
            return
        yield at


def _of_day(cron: Cron, zone: dt.tzinfo, day: dt.date) -> list[int]:
    """Return the due times of a day, in order and without doubles."""
    found: set[int] = set()
    for hour in sorted(cron.hours):
        for minute in sorted(cron.minutes):
            wall = dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            first, second = int(wall.timestamp()), int(wall.replace(fold=1).timestamp())
            if not cron.every_hour:
                # For a time that is skipped, this is the time after the jump. For one that comes twice, it is the first.
                found.add(first)
            elif first <= second:
                # A skipped time has the later moment without `fold`.
                found.update((first, second))
    return sorted(found)
