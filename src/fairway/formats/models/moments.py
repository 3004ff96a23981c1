"""Dates, times, durations and periods as texts in ISO 8601, and as values of numpy or Python.

A request carries them as texts, and stored samples contain the same texts. A moment with a time zone is written in
UTC with "Z" at its end. This module knows no models.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fairway.formats.frameworks import load
from fairway.spec.model import Feature

EXAMPLES = {
    "datetime": "a date and time in ISO 8601, such as '2026-01-31T12:30:00'",
    "date": "a date in ISO 8601, such as '2026-01-31'",
    "time": "a time of day in ISO 8601, such as '12:30:00'",
    "duration": "a duration in ISO 8601, such as 'P1DT12H30M'",
    "period": "a period, such as '2026-01'",
}
"""The way to write a value of each kind, for error messages and descriptions."""

ZONED = "a date and time with its offset in ISO 8601, such as '2026-01-31T12:30:00+01:00'"
"""The way to write a moment in a column with a time zone."""

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_UNIT = re.compile(r"\[(ns|us|ms|s)\b")
_ZONE = re.compile(r"^datetime64\[\w+, (.+)\]$")
_FRACTION = re.compile(r"[.,](\d+)")
_DURATION = re.compile(
    r"([+-]?)P(?:([+-]?\d+)W)?(?:([+-]?\d+)D)?"
    r"(?:T(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?\d+)(?:[.,](\d{1,9}))?S)?)?"
)
_LIMIT = 2**63
_DAY = 86_400 * 10**9


def unit_of(feature: Feature) -> str:
    """Return the unit in which a column counts: "s", "ms", "us" or "ns". Python's own values count in microseconds."""
    found = _UNIT.search(feature.dtype)
    return found.group(1) if found else "us"


def zone_of(feature: Feature) -> str:
    """Return the time zone of a column of moments. It is empty when the column has none."""
    found = _ZONE.match(feature.dtype)
    if found:
        return found.group(1)
    return "UTC" if feature.dtype == "object, UTC" else ""


def wanted(feature: Feature) -> str:
    """Describe the values that a request must hold in a column, for people."""
    return ZONED if feature.kind == "datetime" and zone_of(feature) else EXAMPLES[feature.kind]


def canonical(feature: Feature) -> Callable[[str], str]:
    """Return a function that brings a text of a request to its stored form.

    The function raises ValueError with the reason when the text does not fit.
    """
    if feature.kind == "datetime":
        unit, zoned = unit_of(feature), bool(zone_of(feature))
        return lambda text: _moment(text, unit, zoned)
    if feature.kind == "duration":
        size = _NANOSECONDS[unit_of(feature)]
        return lambda text: write_duration(_nanoseconds(text, size))
    if feature.kind == "period":
        return lambda text: _period(text, feature.dtype)
    return _date if feature.kind == "date" else _time


def write_moments(array: Any, zoned: bool) -> list[str | None]:
    """Write an array of datetime64 as texts. A `zoned` array must be in UTC."""
    np = load("numpy")
    texts: list[str] = np.datetime_as_string(array).tolist()
    return [None if text == "NaT" else _short(text) + "Z" * zoned for text in texts]


def write_durations(array: Any) -> list[str | None]:
    """Write an array of timedelta64 as texts."""
    np = load("numpy")
    size = _NANOSECONDS[np.datetime_data(array.dtype)[0]]
    counts: list[int] = array.view("int64").tolist()
    gone: list[bool] = np.isnat(array).tolist()
    return [None if none else write_duration(count * size) for count, none in zip(counts, gone, strict=True)]


def write_value(value: Any) -> str:
    """Write a value of Python's `datetime` module as a text."""
    if isinstance(value, timedelta):
        days, seconds = value.days, value.seconds
        return write_duration(((days * 86_400 + seconds) * 10**6 + value.microseconds) * 1000)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    text: str = value.isoformat()
    return text


def write_duration(nanoseconds: int) -> str:
    """Write a duration in ISO 8601."""
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    days, rest = divmod(rest, _DAY)
    hours, rest = divmod(rest, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds, rest = divmod(rest, 10**9)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    clock = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes)
    clock += f"{seconds}{fraction}S" if seconds or fraction else ""
    if not days and not clock:
        return "PT0S"
    return f"{sign}P" + f"{days}D" * bool(days) + f"T{clock}" * bool(clock)


def read_moments(texts: Sequence[str | None], unit: str) -> Any:
    """Read an array of datetime64 from texts in their stored form. Moments with a time zone become UTC."""
    np = load("numpy")
    plain = ["NaT" if text is None else text.removesuffix("Z") for text in texts]
    return np.array(plain, dtype=f"datetime64[{unit}]")


def read_durations(texts: Sequence[str | None], unit: str) -> Any:
    """Read an array of timedelta64 from texts in their stored form."""
    np = load("numpy")
    size = _NANOSECONDS[unit]
    missing = np.iinfo("int64").min  # how numpy holds NaT
    counts = [missing if text is None else _nanoseconds(text, size) // size for text in texts]
    return np.array(counts, dtype="int64").view(f"timedelta64[{unit}]")


def read_value(kind: str, text: str) -> Any:
    """Read a value of Python's `datetime` module from a text in its stored form."""
    if kind == "duration":
        return timedelta(microseconds=_nanoseconds(text, 1) // 1000)
    return {"datetime": datetime, "date": date, "time": time}[kind].fromisoformat(text)


def _moment(text: str, unit: str, zoned: bool) -> str:
    """Bring the text of a moment to its stored form. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if zoned and moment.tzinfo is None:
        raise ValueError("it has no offset such as Z or +01:00")
    if not zoned and moment.tzinfo is not None:
        raise ValueError("it has an offset, and the column it was trained on has no time zone")
    if zoned:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("it is out of range") from None
    if unit == "ns" and not 1678 <= moment.year <= 2261:
        raise ValueError("nanoseconds reach from 1678 to 2261 only")
    written = moment.replace(tzinfo=None).isoformat(timespec="microseconds")
    found = _FRACTION.search(text)
    if found and len(found.group(1)) > 6:  # `fromisoformat` cuts these off
        written = written[:-6] + found.group(1)[:9]
    return _short(written) + "Z" * zoned


def _short(text: str) -> str:
    """Return a text without zeros at the end of its fraction."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _date(text: str) -> str:
    """Bring the text of a date to its stored form. Raises ValueError."""
    return date.fromisoformat(text).isoformat()


def _time(text: str) -> str:
    """Bring the text of a time of day to its stored form. Raises ValueError."""
    moment = time.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("it has an offset")
    return moment.isoformat()


def _period(text: str, dtype: str) -> str:
    """Bring the text of a period to its stored form. Raises ValueError."""
    pandas = load("pandas")
    found = pandas.Period(text, freq=dtype.removeprefix("period[").removesuffix("]"))
    if found is pandas.NaT:
        raise ValueError("it is not a period")
    return str(found)


def _nanoseconds(text: str, size: int) -> int:
    """Return a duration in nanoseconds. Raises ValueError when its count of `size` nanoseconds does not fit 64 bits."""
    found = _DURATION.fullmatch(text)
    if found is None or text[-1] in "PT":
        raise ValueError("it is not of the form P1DT2H3M4.5S")
    sign, weeks, days, hours, minutes, seconds, fraction = found.groups()
    whole = int(weeks or 0) * 604_800 + int(days or 0) * 86_400 + int(hours or 0) * 3600
    whole += int(minutes or 0) * 60 + int(seconds or 0)
    part = int(f"{fraction or 0:0<9}")
    part = -part if (seconds or "").startswith("-") else part
    total = (whole * 10**9 + part) * (-1 if sign == "-" else 1)
    if not -_LIMIT < total // size < _LIMIT:
        raise ValueError("it is out of range")
    return total
