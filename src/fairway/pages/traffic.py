"""The traffic of an endpoint as pictures and figures."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from fairway.evaluation.drawing import COLOURS, Frame, axes, legend, margin, picture, polyline
from fairway.spec.serving import Counts, Stretch, Traffic

_MINUTE, _QUARTER = 60, 900
_MINUTES, _QUARTERS = 60, 96
_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


class Scale(msgspec.Struct, frozen=True):
    """The seconds of one stretch, the seconds of the unit of a picture with its name, and the units in a picture."""

    length: float
    unit: float
    words: str
    longest: float


_HOUR = Scale(_MINUTE, 60.0, "minutes", 60.0)
_DAY = Scale(_QUARTER, 3600.0, "hours", 24.0)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one stretch of time. A time is in milliseconds, and None without any answer."""

    start: float
    requests: int
    rate: float
    errors: int
    refused: int
    p50: float | None
    p95: float | None
    p99: float | None
    batch: float | None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The last hour or day: its pictures, its rows newest first, and its sum."""

    title: str
    pictures: list[str]
    rows: list[Row]
    whole: Row


def summary(traffic: Traffic, now: float) -> Row | None:
    """Return the figures of the last hour; None when nobody has counted yet."""
    if not traffic.until:
        return None
    return _row(
        now - _MINUTE * _MINUTES, _MINUTE * _MINUTES, _sum(_recent(traffic.hour, now - _MINUTE * _MINUTES))
    )


def pictures_of(traffic: Traffic, now: float) -> list[Span]:
    """Return the last hour and the last day."""
    return [
        _span("Last hour", _filled(traffic.hour, _MINUTE, _MINUTES, now), _HOUR, now),
        _span("Last day", _filled(traffic.day, _QUARTER, _QUARTERS, now), _DAY, now),
    ]


def _recent(stretches: Sequence[Stretch], since: float) -> list[Stretch]:
    return [one for one in stretches if one.start >= since]


def _filled(stretches: Sequence[Stretch], length: int, count: int, now: float) -> list[Stretch]:
    """Return every stretch of the time up to now, the ones without requests too, oldest first."""
    by_start = {int(one.start): one for one in stretches}
    last = int(now // length) * length
    starts = range(last - (count - 1) * length, last + 1, length)
    return [by_start.get(start, Stretch(start=float(start), counts=Counts())) for start in starts]


def _span(title: str, stretches: list[Stretch], scale: Scale, now: float) -> Span:
    rows = [_row(one.start, scale.length, one.counts) for one in stretches]
    ago = [(row.start + scale.length / 2 - now) / scale.unit for row in rows]
    failed = [(row.errors + row.refused) / scale.length for row in rows]
    times = {name: [getattr(row, name) for row in rows] for name, _ in _SHARES}
    drawn = [
        _chart(
            "Requests a second", scale, ago, {"all": [row.rate for row in rows], "errors and refused": failed}
        ),
        _chart("Time to answer in ms", scale, ago, times),
        _chart("Rows computed at once", scale, ago, {"rows": [row.batch for row in rows]}),
    ]
    whole = _row(stretches[0].start, scale.length * len(stretches), _sum(stretches))
    return Span(title=title, pictures=drawn, rows=[row for row in rows[::-1] if row.requests], whole=whole)


def _chart(title: str, scale: Scale, ago: list[float], lines: Mapping[str, Sequence[float | None]]) -> str:
    """Draw lines over the whole time, also where it has no values. Three such pictures then stand below each other."""
    shown = [value for values in lines.values() for value in values if value is not None]
    frame = Frame(
        x_low=-scale.longest,
        x_high=0,
        y_low=0,
        y_high=max(shown, default=0) * 1.1 or 1,
        width=480,
        height=220,
    )
    frame = msgspec.structs.replace(frame, left=margin(frame))
    parts = [axes(frame, f"{scale.words} ago", "")]
    entries: list[tuple[str, str, bool]] = []
    for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
        points = [(x, math.nan if value is None else value) for x, value in zip(ago, values, strict=True)]
        parts.append(polyline(frame, points, colour))
        entries.append((name, colour, False))
    names, height = legend(entries, frame.width, frame.height)
    return picture(title, f"{title} by {scale.words}", [*parts, names], (frame.width, frame.height + height))


def _sum(stretches: Sequence[Stretch]) -> Counts:
    whole = Counts()
    for one in stretches:
        whole.add(one.counts)
    return whole


def _row(start: float, length: float, counts: Counts) -> Row:
    p50, p95, p99 = (_milliseconds(counts.quantile(share)) for _, share in _SHARES)
    return Row(
        start=start,
        requests=counts.requests,
        rate=counts.requests / length,
        errors=counts.errors,
        refused=counts.refused,
        p50=p50,
        p95=p95,
        p99=p99,
        batch=counts.rows / counts.batches if counts.batches else None,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return seconds * 1000 if seconds is not None else None
