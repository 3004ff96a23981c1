"""The lineage of a version as a picture: data, code and environment on the left, the endpoints that serve it on the right."""

import itertools
from collections.abc import Sequence

import msgspec

from fairway.evaluation.drawing import COLOURS, escape, picture, shortened, text
from fairway.pages.visit import address
from fairway.spec.model import ModelVersion

_WIDE, _HIGH, _GAP = 214, 42, 10
_BETWEEN = 46
_TOP = 40
_MOST = 8
_LETTERS = 30


class Box(msgspec.Struct, frozen=True):
    """A thing of the lineage: its kind, its name, and the page about it if there is one."""

    kind: str
    name: str
    link: str = ""


def boxes(version: ModelVersion, endpoints: Sequence[str]) -> list[list[Box]]:
    """Return the things of a lineage in columns, from what went in to what serves it."""
    lineage = version.lineage
    made_from = [Box("data", f"{name}  {digest[:12]}") for name, digest in lineage.data.items()]
    if len(made_from) > _MOST:
        made_from = [*made_from[: _MOST - 1], Box("data", f"and {len(made_from) - _MOST + 1} more")]
    made_from += [Box("code", lineage.code[:16])] if lineage.code else []
    made_from += [Box("environment", lineage.environment[:16])] if lineage.environment else []
    step = lineage.producer or lineage.step
    made_by = list[Box]()
    if lineage.run and step:
        made_by.append(
            Box("step", f"{step} of run {lineage.run}", address("runs", lineage.run, "steps", step))
        )
    elif lineage.run:
        made_by.append(Box("run", lineage.run, address("runs", lineage.run)))
    own = address("models", version.name, str(version.version))
    serving = [Box("endpoint", name, address("endpoints", name)) for name in endpoints[:_MOST]]
    columns = [
        made_from,
        made_by,
        [Box("model", f"{version.name} version {version.version}", own)],
        serving or [Box("endpoint", "none serves it")],
    ]
    return [column for column in columns if column]


def draw(version: ModelVersion, endpoints: Sequence[str]) -> str:
    """Draw the lineage of a version as SVG."""
    columns = boxes(version, endpoints)
    tallest = max(_height(column) for column in columns)
    parts = list[str]()
    corners = [_corners(place, column, tallest) for place, column in enumerate(columns)]
    for here, there in itertools.pairwise(corners):
        parts += [_line(start, end) for start in here for end in there]
    for column, places in zip(columns, corners, strict=True):
        parts += [_box(box, corner) for box, corner in zip(column, places, strict=True)]
    width = len(columns) * (_WIDE + _BETWEEN) - _BETWEEN + 20
    described = (
        f"From data and code on the left to {version.name} version {version.version} and its endpoints"
    )
    return picture("Lineage", described, parts, (width, _TOP + tallest + 12))


def _height(column: list[Box]) -> int:
    return len(column) * (_HIGH + _GAP) - _GAP


def _corners(place: int, column: list[Box], tallest: int) -> list[tuple[float, float]]:
    left = 10 + place * (_WIDE + _BETWEEN)
    top = _TOP + (tallest - _height(column)) / 2
    return [(left, top + i * (_HIGH + _GAP)) for i in range(len(column))]


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = start[0] + _WIDE, start[1] + _HIGH / 2
    to_x, to_y = end[0], end[1] + _HIGH / 2
    middle = (x + to_x) / 2
    path = f"M{x:.0f} {y:.0f}C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.35"/>'


def _box(box: Box, corner: tuple[float, float]) -> str:
    x, y = corner
    colour = COLOURS[("data", "code", "environment", "run", "step", "model", "endpoint").index(box.kind)]
    shape = (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_WIDE}" height="{_HIGH}" rx="4" fill="{colour}" '
        f'fill-opacity="0.12" stroke="{colour}"/>'
    )
    kind = text((x + 10, y + 16), box.kind, anchor="start", size=10)
    name = text((x + 10, y + 32), shortened(box.name, _LETTERS), anchor="start", size=12, bold=bool(box.link))
    drawn = f"{shape}{kind}{name}<title>{escape(f'{box.kind} {box.name}')}</title>"
    return f'<a href="{escape(box.link)}">{drawn}</a>' if box.link else f"<g>{drawn}</g>"
