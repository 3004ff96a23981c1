"""Dates, times and durations in the forms in which people write them."""

import datetime as dt
import re
from collections.abc import Callable

_UNITS = {"weeks": "w|week|weeks", "days": "d|day|days", "hours": "h|hr|hrs|hour|hours",
          "minutes": "m|min|mins|minute|minutes", "seconds": "s|sec|secs|second|seconds",
          "milliseconds": "ms|millisecond|milliseconds", "microseconds": "us|µs|microsecond|microseconds"}  # fmt: skip
_OF_WORD = {word: unit for unit, words in _UNITS.items() for word in words.split("|")}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµ]+)")
_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?")
_ISO = re.compile(
    r"P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)

FORMS: dict[type, str] = {
    dt.date: "written like 2024-01-31",
    dt.time: "written like 12:30 or 12:30:05",
    dt.datetime: "written like `2024-01-31 12:00`, 2024-01-31T12:00:00 or 2024-01-31T12:00:00+01:00",
    dt.timedelta: "written like 90s, 1h30m, `1 day`, 1:30:00 or PT1H30M",
}
"""Hints for each type, shown when a text does not fit."""


def moment(kind: type, text: str) -> object:
    """Parse a date, time, datetime or timedelta. Raises ValueError."""
    return _READ[kind](text.strip())


def _date(text: str) -> dt.date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    return dt.date.fromisoformat(text)


def _time(text: str) -> dt.time:
    if ":" not in text:
        raise ValueError(text)
    return dt.time.fromisoformat(text)


def _datetime(text: str) -> dt.datetime:
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    return dt.datetime.fromisoformat(text.replace(" Z", "Z").replace(" +", "+"))


def _timedelta(text: str) -> dt.timedelta:
    """Parse a duration: as a clock, in the ISO 8601 form, or as amounts with units."""
    sign = -1 if text.startswith("-") else 1
    bare = text.removeprefix("-").removeprefix("+").strip()
    # Whole forms come first, because the amounts with units below refuse texts such as PT1H30M.
    if match := _CLOCK.fullmatch(bare):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return sign * dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    match = _ISO.fullmatch(bare)
    if match and any(match.groups()):
        weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return sign * dt.timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    parts = _AMOUNT.findall(bare.lower())
    rest = _AMOUNT.sub("", bare.lower()).replace("and", "").strip(" ,")
    if not parts or rest or any(word not in _OF_WORD for _, word in parts):
        raise ValueError(text)
    whole = dt.timedelta()
    for number, word in parts:
        whole += dt.timedelta(**{_OF_WORD[word]: float(number)})
    return sign * whole


_READ: dict[type, Callable[[str], object]] = {
    dt.date: _date,
    dt.time: _time,
    dt.datetime: _datetime,
    dt.timedelta: _timedelta,
}
