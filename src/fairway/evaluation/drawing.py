"""The parts of every picture as SVG: a scaled frame with axes, lines, marks, text and a legend.

A picture stands alone and may be put into any page. It contains no scripts, styles, ids, fonts or links, and all its
text is escaped. Text and axes take the colour of the page (`currentColor`). Series take colours that read on light
and dark pages. This module does not know what is drawn, and needs no numpy.
"""

import html
import math
from collections.abc import Iterable, Sequence

import msgspec

COLOURS = ("#3b82d0", "#e07b2e", "#2f9e6e", "#c0519b", "#8a6fd6", "#a88a1c", "#2aa3b5", "#d0504a")
"""Colours of series, of middle lightness.

Their order keeps them apart for people with the common colour blindnesses too.
"""

FONT = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"'
_CHAR = 0.56
"""The width of a character as a share of its size."""
_LARGEST = 1e300
"""The largest number that is drawn."""
_ELLIPSIS = "…"
_MINUS = "\N{MINUS SIGN}"

Point = tuple[float, float]


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The area of data within a picture. Limits are in units of the data, sizes and margins in pixels.

    `x_step` and `y_step` are the smallest sensible distances of ticks, such as 1 for counts.
    """

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    width: int = 400
    height: int = 300
    left: int = 56
    right: int = 18
    top: int = 38
    bottom: int = 46
    x_step: float = 0
    y_step: float = 0

    def x(self, value: float) -> float:
        """Return the pixels from the left for a value."""
        return self.left + (value - self.x_low) / (self.x_high - self.x_low) * (
            self.width - self.left - self.right
        )

    def y(self, value: float) -> float:
        """Return the pixels from the top for a value."""
        span = self.height - self.top - self.bottom
        return self.height - self.bottom - (value - self.y_low) / (self.y_high - self.y_low) * span


def picture(title: str, description: str, parts: Iterable[str], size: tuple[float, float]) -> str:
    """Return a whole SVG document with a title and a description for screen readers. The size is in pixels."""
    width, height = size
    drawn = "".join(parts)
    # A screen reader takes an image as one thing, so it would not come to the links in it.
    role = "group" if "<a " in drawn else "img"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="{role}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" {FONT} font-size="11" fill="currentColor">'
    )
    named = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return f"{head}{named}{text((14, 20), title, anchor='start', size=13, bold=True)}{drawn}</svg>"


def escape(value: str) -> str:
    """Return a text that may stand anywhere in HTML or SVG. Characters that XML forbids become a replacement mark."""
    printable = "".join(
        char if char.isprintable() or char == " " else "\N{REPLACEMENT CHARACTER}" for char in value
    )
    return html.escape(printable, quote=True)


def text(
    at: Point, value: str, *, anchor: str = "middle", size: int = 11, bold: bool = False, turned: float = 0
) -> str:
    """Draw one line of text.

    Args:
        at: the place in pixels.
        value: the text.
        anchor: the part of the text that lies at that place: start, middle or end.
        size: the size of the font.
        bold: True for bold text.
        turned: the degrees by which the text is turned clockwise.
    """
    x, y = at
    turn = f' transform="rotate({turned:g} {x:.1f} {y:.1f})"' if turned else ""
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f"<text {place}{weight}{turn}>{escape(value)}</text>"


def text_width(value: str, size: int = 11) -> float:
    """Estimate the width of a text in pixels. Wide East Asian characters count double."""
    return sum(1.8 if ord(char) > 0x2E7F else 1.0 for char in value) * _CHAR * size


def shortened(value: str, limit: int) -> str:
    """Cut a text to `limit` characters."""
    return value if len(value) <= limit else value[: limit - 1] + _ELLIPSIS


def segment(start: Point, end: Point, *, faint: bool = False, dashed: bool = False) -> str:
    """Draw a straight thin line in the colour of the page."""
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="currentColor" stroke-opacity="{0.13 if faint else 0.5}"{dash}/>'
    )


def polyline(frame: Frame, points: Sequence[Point], colour: str, *, dashed: bool = False) -> str:
    """Draw a line through points of the data.

    It breaks at points that cannot be drawn, and a lone point becomes a mark.
    """
    dash = ' stroke-dasharray="6 3"' if dashed else ""
    parts: list[str] = []
    for run in _runs(points):
        if len(run) == 1:
            parts.append(mark(frame, run[0], colour))
            continue
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in run)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-linejoin="round"{dash}/>'
        )
    return "".join(parts)


def mark(frame: Frame, point: Point, colour: str, *, radius: float = 3, opacity: float = 1) -> str:
    """Draw a dot at a point of the data."""
    see = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
    x, y = frame.x(point[0]), frame.y(point[1])
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"{see}/>'


def box(corner: Point, size: Point, colour: str, *, opacity: float = 1, hint: str = "") -> str:
    """Draw a filled rectangle in pixels. `hint` shows on hovering."""
    see = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    x, y, width, height = *corner, max(size[0], 0), max(size[1], 0)
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    if not hint:
        return f'<rect {shape} fill="{colour}"{see}/>'
    return f'<rect {shape} fill="{colour}"{see}><title>{escape(hint)}</title></rect>'


def axes(frame: Frame, x_name: str, y_name: str) -> str:
    """Draw the grid, the ticks with their numbers, and the two axes with their names."""
    bottom, right = frame.height - frame.bottom, frame.width - frame.right
    parts: list[str] = []
    marks = ticks(frame.y_low, frame.y_high, smallest=frame.y_step)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        y = frame.y(value)
        parts.append(segment((frame.left, y), (right, y), faint=True))
        parts.append(text((frame.left - 7, y + 3.8), label, anchor="end"))
    marks = ticks(frame.x_low, frame.x_high, count=6, smallest=frame.x_step)
    for value, label in zip(marks, tick_labels(marks), strict=True):
        x = frame.x(value)
        parts.append(segment((x, bottom), (x, bottom + 4)))
        parts.append(text((x, bottom + 16), label))
    parts.append(segment((frame.left, bottom), (right, bottom)))
    parts.append(segment((frame.left, frame.top), (frame.left, bottom)))
    parts.append(text(((frame.left + right) / 2, bottom + 34), x_name))
    parts.append(text((14, (frame.top + bottom) / 2), y_name, turned=-90))
    return "".join(parts)


def ticks(low: float, high: float, count: int = 5, smallest: float = 0) -> list[float]:
    """Return about `count` round numbers within limits.

    Their distance is 1, 2 or 5 times a power of ten, and at least `smallest`.
    """
    rough = (high - low) / count
    if not (rough > 0 and math.isfinite(rough)):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough * 0.95), 10 * power)
    step = max(step, smallest)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, min(last, first + 4 * count) + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Format the numbers of one axis with equal decimals, and with short units for large and small amounts."""
    if not values:
        return []
    largest = max(abs(value) for value in values)
    step = abs(values[1] - values[0]) if len(values) > 1 else largest
    if largest >= 1e15 or (0 < largest < 1e-3):
        return [f"{value:.3g}".replace("-", _MINUS) for value in values]
    scale, unit = next(
        ((s, u) for s, u in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")) if largest >= s), (1, "")
    )
    scale = 1e3 if unit == "k" else scale
    decimals = min(6, max(0, -math.floor(math.log10(step / scale) + 1e-9))) if step else 2
    labels = [f"{value / scale + 0.0:.{decimals}f}{unit if value else ''}" for value in values]
    return [label.replace("-", _MINUS) for label in labels]


def margin(frame: Frame) -> int:
    """Return the pixels that the numbers and the name of the upright axis need."""
    labels = tick_labels(ticks(frame.y_low, frame.y_high, smallest=frame.y_step))
    return math.ceil(max(46.0, 30 + max((text_width(label) for label in labels), default=0)))


def drawable(value: float) -> bool:
    """Tell whether a picture can show a number: it is not NaN, not infinite and not close to the end of the floats."""
    return abs(value) <= _LARGEST


def limits(values: Iterable[float], *, pad: float = 0.05, include: Sequence[float] = ()) -> Point:
    """Return limits that hold all drawable values with some room. A single value gets room on both sides.

    Args:
        values: the values.
        pad: the room on each side, as a share of the extent.
        include: values that the limits hold too, without room beyond them.
    """
    kept = [value for value in values if drawable(value)]
    kept.extend(include)
    if not kept:
        return (0.0, 1.0)
    low, high = min(kept), max(kept)
    room = (high - low) * pad
    if high - low <= max(abs(high) * 1e-12, 1 / _LARGEST):
        room = abs(high) * 0.1 or 1.0
    return (low - (0 if low in include else room), high + (0 if high in include and high > low else room))


def legend(entries: Sequence[tuple[str, str, bool]], width: float, top: float) -> tuple[str, float]:
    """Draw names with their colours in rows under a picture, and return the drawing with its height.

    Args:
        entries: name, colour and True for a dashed line.
        width: the width of the picture.
        top: the place under the picture.
    """
    parts: list[str] = []
    x, y = 20.0, top + 10
    for name, colour, dashed in entries:
        wide = 26 + text_width(name) + 14
        if x > 20 and x + wide > width:
            x, y = 20.0, y + 17
        dash = ' stroke-dasharray="6 3"' if dashed else ""
        parts.append(
            f'<line x1="{x:.1f}" y1="{y - 4:.1f}" x2="{x + 18:.1f}" y2="{y - 4:.1f}" stroke="{colour}" '
            f'stroke-width="3"{dash}/>'
        )
        parts.append(text((x + 24, y), name, anchor="start"))
        x += wide
    return "".join(parts), (y - top + 12 if entries else 0)


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Split points into runs that can be drawn."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if all(map(drawable, point)):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
