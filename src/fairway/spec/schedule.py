"""Schedules: what runs when, and what became of each due time."""

from enum import StrEnum

import msgspec

from fairway.spec.run import RunRequest


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is wanted again and again.

    Attributes:
        name: the name of the schedule on its platform.
        cron: the five fields of cron.
        timezone: the name of the time zone that the fields are meant in, such as "Europe/Berlin".
        request: the run, as a person would ask for it.
    """

    name: str
    cron: str
    timezone: str = "UTC"
    request: RunRequest


class Fate(StrEnum):
    """The outcome of a due time."""

    STARTED = "started"
    OVERLAPPED = "overlapped"
    FAILED = "failed"


class Due(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A due time and its outcome.

    Attributes:
        at: the due time in seconds since the epoch.
        run: the run that it started, or the run that was still at work then.
        missed: the number of due times before it that passed while no platform was there.
        why: the reason why no run could be started.
    """

    at: int
    fate: Fate
    run: str = ""
    missed: int = 0
    why: str = ""


class ScheduleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with what became of its last due times.

    Attributes:
        since: the time at which it was set. Earlier due times do not count.
        dues: the last due times that were decided on, oldest first.
        next: the next due time in seconds since the epoch. 0 if it was not asked for.
    """

    spec: ScheduleSpec
    since: float
    dues: tuple[Due, ...] = ()
    next: int = 0
