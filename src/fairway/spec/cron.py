"""The five fields of cron: minute, hour, day of the month, month and day of the week.

A field is `*`, a number, a range `1-5`, a list `1,3,5`, and a step `*/15` or `8-18/2`. Months and days of the week have
names as well. If both kinds of day are given, either of them is enough, as in every cron.
"""

import msgspec

from fairway.spec.errors import UsageError

_FIELDS = (
    ("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7),
)  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES: dict[str, dict[str, int]] = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of the week": {name: number for number, name in enumerate(_DAYS)},
}
_SHORT = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EXAMPLE = 'such as "0 6 * * *" for every day at six, or "*/15 8-18 * * mon-fri"'


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a schedule, as numbers.

    Attributes:
        weekdays: days of the week, 0 is Sunday.
        either: True when a day needs to fit only one of `days` and `weekdays`.
        every_hour: True when no hour is chosen, so that the times are intervals and not times of the day.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    every_hour: bool

    def is_day(self, month: int, day: int, weekday: int) -> bool:
        """Tell whether a day is one of the schedule. `weekday` 0 is Sunday."""
        if month not in self.months:
            return False
        if self.either:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def parse(text: str) -> Cron:
    """Read the five fields. Raises UsageError."""
    words = _SHORT.get(text.strip().lower(), text).lower().split()
    if len(words) != len(_FIELDS):
        raise UsageError(f"the schedule {text!r} has {len(words)} fields and needs 5", hint=_EXAMPLE)
    minutes, hours, days, months, weekdays = (
        _field(text, word, *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    found = Cron(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
        every_hour=len(hours) == 24,
    )
    if not found.either and not any(min(days) <= _LONGEST_MONTH[month - 1] for month in months):
        raise UsageError(
            f"the schedule {text!r} is never due: no such month has day {min(days)}", hint=_EXAMPLE
        )
    return found


def _field(text: str, word: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            begin = low if span == "*" else _number(name, first)
            end = high if span == "*" or (slash and not dash) else _number(name, last) if dash else begin
            every = int(step) if slash else 1
        except ValueError:
            raise UsageError(f"the schedule {text!r} has the {name} {part!r}", hint=_EXAMPLE) from None
        if not low <= begin <= end <= high or every < 1:
            raise UsageError(
                f"the schedule {text!r} has the {name} {part!r}, which is not from {low} to {high}",
                hint=_EXAMPLE,
            )
        found.update(range(begin, end + 1, every))
    return frozenset(found)


def _number(name: str, word: str) -> int:
    known = _NAMES.get(name, {}).get(word)
    if known is not None:
        return known
    if not (word.isascii() and word.isdigit()):
        raise ValueError(word)
    return int(word)
