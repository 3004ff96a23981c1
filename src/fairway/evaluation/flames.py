"""A flame picture: the calls of an attempt as bars, each as wide as its share of the time, the called ones below."""

from collections.abc import Iterator

from fairway.evaluation.drawing import COLOURS, escape, picture, shortened, text, text_width
from fairway.spec.profile import Frame, Profile
from fairway.spec.quantities import format_duration

_WIDTH = 1200
_SIDE = 14
_TOP = 44
_BAR = 18
_NARROWEST = 1.0
"""The pixels below which a bar is left out."""

_SIZE = 11
_DEEPEST = 60


def flames(profile: Profile, title: str) -> str:
    """Return the picture as SVG. Pointing at a bar names its function and its share."""
    depth = 0
    parts: list[str] = []
    for level, left, width, frame in _bars(profile):
        depth = max(depth, level)
        parts.append(_bar(profile, level, left, width, frame))
    height = _TOP + (depth + 1) * (_BAR + 1) + _SIDE
    looks = profile.root.samples
    description = (
        f"{looks} looks in {format_duration(profile.seconds)}; a bar is as wide as its share of the time"
    )
    caption = text((_SIDE, _TOP - 8), description, anchor="start", size=_SIZE)
    return picture(title, description, [caption, *parts], (_WIDTH, height))


def _bars(profile: Profile) -> Iterator[tuple[int, float, float, Frame]]:
    """Yield level, left edge and width of each bar that is wide enough to be seen, with its function."""
    whole = max(1, profile.root.samples)
    scale = (_WIDTH - 2 * _SIDE) / whole
    todo = [(0, float(_SIDE), profile.root)]
    while todo:
        level, left, frame = todo.pop()
        yield level, left, frame.samples * scale, frame
        at = left
        for called in sorted(frame.calls.values(), key=lambda one: one.name):
            width = called.samples * scale
            if width >= _NARROWEST and level < _DEEPEST:
                todo.append((level + 1, at, called))
            at += width


def _bar(profile: Profile, level: int, left: float, width: float, frame: Frame) -> str:
    top = _TOP + level * (_BAR + 1)
    share = frame.samples / max(1, profile.root.samples)
    colour = COLOURS[sum(map(ord, frame.name)) % len(COLOURS)] if level else "currentColor"
    label = ""
    letters = int((width - 6) / (text_width("x", _SIZE)))
    if letters >= 3:
        label = text((left + 3, top + 13), shortened(frame.name, letters), anchor="start", size=_SIZE)
    told = escape(f"{frame.name}  {share:.1%}, {format_duration(share * profile.seconds)}")
    return (
        f'<g><title>{told}</title><rect x="{left:.1f}" y="{top}" width="{max(0.5, width - 0.5):.1f}" height="{_BAR}" '
        f'fill="{colour}" fill-opacity="{0.45 if level else 0.12}"/>{label}</g>'
    )
