"""The attempts of a run over time: waiting, starting, working and storing are told apart as far as they are on record."""

import msgspec

from fairway.evaluation.drawing import escape, picture, segment, text, tick_labels, ticks
from fairway.pages.steps import FOLDED, by_task, state_of
from fairway.pages.visit import address
from fairway.spec.run import AttemptStatus, RunStatus, StepStatus
from fairway.spec.text import shortened

_WIDTH, _ROW, _BAR = 960, 20, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 190, 16, 32, 26
_LETTERS = 28
_MOST_ROWS = 60
_MOST_BARS = 400
"""The bars that are drawn of the steps of one task."""

_BESIDE = {"waiting": 2, "starting": _BAR, "storing": _BAR // 2}
"""The kinds of time beside the work itself, with the height of their bars, so that colour alone tells nothing apart."""

_LEAST = 1.5
"""The width in pixels that a bar has at least, so that it is seen."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time of an attempt, in seconds since the epoch. `kind` is waiting, starting, storing or a state."""

    kind: str
    start: float
    end: float


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the picture: a step, or all steps of a task."""

    title: str
    to: str
    spans: list[Span]


def timeline(status: RunStatus) -> str:
    """Draw the attempts of a run as SVG; empty before the first of them."""
    lines = [line for line in lines_of(status) if line.spans][:_MOST_ROWS]
    if not lines:
        return ""
    start = min(status.started, *(span.start for line in lines for span in line.spans))
    end = max(status.ended, *(span.end for line in lines for span in line.spans))
    scale = (_WIDTH - _LEFT - _RIGHT) / max(end - start, 0.001)
    height = _TOP + len(lines) * _ROW
    parts = [_axis(end - start, scale, height)]
    for place, line in enumerate(lines):
        y = _TOP + place * _ROW
        name = text((_LEFT - 8, y + 13), shortened(line.title, _LETTERS), anchor="end")
        parts.append(f'<a href="{escape(line.to)}">{name}</a>')
        # The states come last: a bar is never too thin to be seen, so a short neighbour would cover the bar of its state.
        parts += [_bar(span, start, scale, y) for span in sorted(line.spans, key=_is_state)]
    told = "When each step waited, started, worked and stored its result. The table of the steps has the lengths of time"
    return picture("Time line", told, parts, (_WIDTH, height + _BOTTOM))


def lines_of(status: RunStatus) -> list[Line]:
    """Return the lines of the picture, in the order of the first calls."""
    now = _latest(status)
    lines: list[Line] = []
    for task, group in by_task(status.steps).items():
        if len(group) >= FOLDED:
            spans = [span for step in group[:_MOST_BARS] for span in spans_of(step, now)]
            to = address("runs", status.spec.name, task=task) + "#steps"
            # Waiting of one step would cover the work of another one in the same line.
            lines.append(
                Line(
                    title=f"{task} × {len(group)}",
                    to=to,
                    spans=[one for one in spans if one.kind != "waiting"],
                )
            )
            continue
        lines += [
            Line(
                title=step.spec.name,
                to=address("runs", status.spec.name, "steps", step.spec.name),
                spans=spans_of(step, now),
            )
            for step in group
        ]
    return lines


def spans_of(step: StepStatus, now: float) -> list[Span]:
    """Return the stretches of time of a step."""
    spans: list[Span] = []
    before = step.called
    for attempt in step.attempts:
        if before and attempt.started > before:
            spans.append(Span(kind="waiting", start=before, end=attempt.started))
        spans += _of_attempt(step, attempt, now)
        before = attempt.ended
    return spans


def _of_attempt(step: StepStatus, attempt: AttemptStatus, now: float) -> list[Span]:
    end = attempt.ended or max(now, attempt.started)
    kind = attempt.phase.value.lower() if attempt.ended else "running"
    if attempt.ended and attempt.phase.value == "Succeeded":
        kind = state_of(step) if step.cached else "done"
    begun = max(attempt.started, end - attempt.usage.wall) if attempt.usage.wall else attempt.started
    # The clock of the engine may have jumped meanwhile, and then the parts are longer than the whole.
    returned = max(begun, end - attempt.usage.storing)
    parts = [("starting", attempt.started, begun), (kind, begun, returned), ("storing", returned, end)]
    return [
        Span(kind=named, start=start, end=until)
        for named, start, until in parts
        if until > start or named == kind
    ]


def _latest(status: RunStatus) -> float:
    """Return the time of the last change of a run."""
    times = [time for step in status.steps for one in step.attempts for time in (one.started, one.ended)]
    return max([status.started, status.ended, *times])


def _axis(seconds: float, scale: float, bottom: float) -> str:
    marks = ticks(0.0, max(seconds, 0.001), count=8)
    parts: list[str] = []
    for value, label in zip(marks, tick_labels(marks), strict=True):
        x = _LEFT + value * scale
        parts.append(segment((x, _TOP), (x, bottom), faint=True))
        parts.append(text((x, bottom + 16), f"{label} s"))
    return "".join(parts)


def _is_state(span: Span) -> bool:
    return span.kind not in _BESIDE


def _bar(span: Span, start: float, scale: float, y: float) -> str:
    x = _LEFT + (span.start - start) * scale
    width = max(_LEAST, (span.end - span.start) * scale)
    told = f"{span.kind} {span.end - span.start:.2f} s"
    height = _BESIDE.get(span.kind, _BAR)
    top = y + 3 + (_BAR - height) / 2
    return (
        f'<rect class="span {span.kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height}">'
        f"<title>{escape(told)}</title></rect>"
    )
