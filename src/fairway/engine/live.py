"""The progress of a run in a notebook: one output that is drawn again while steps run, and folds when the run is over.

It writes plain text, and HTML without scripts or widgets, so every notebook can show it. Knows no terminal.
"""

import html
import time
from collections.abc import Callable
from typing import Any

from fairway.spec.event import AttemptStarted, MetricsLogged, RunEnded, StepCalled, StepEnded
from fairway.spec.quantities import format_duration
from fairway.spec.run import Phase, Reason
from fairway.spec.text import one_line, plain
from fairway.spec.update import News, Noted, Over, Printed, Recalled, Recorded
from fairway.spec.wire import DRIVER

_PAUSE = 0.2
_LINES = 8
_METRICS = 6
_WORDS = ("running", "waiting", "done", "cached", "given up", "failed", "cancelled")

Draw = Callable[[dict[str, str]], None]
"""A function that shows a picture of the progress, by MIME type, in the place of the last one."""


class LiveRun:
    """The drawer of a run's progress.

    Args:
        draw: shows what is drawn.
    """

    def __init__(self, run: str, draw: Draw, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._draw = draw
        self._clock = clock
        self._begun = clock()
        self._drawn = -_PAUSE
        self._task: dict[str, str] = {}
        self._state: dict[str, str] = {}
        self._lines: list[str] = []
        self._metrics: dict[str, float] = {}
        self._outcome = ""

    def take(self, news: News) -> None:
        """Take an update of the run, and draw if the last drawing is old enough."""
        if isinstance(news, Recorded):
            self._event(news.event)
        elif isinstance(news, Recalled):
            self._called(news.spec.name, news.spec.task)
        elif isinstance(news, Printed):
            text = plain(news.data.decode("utf-8", "replace"))
            name = "" if news.step == DRIVER else f"{news.step} | "
            self._write(*(f"{name}{line}" for line in text.splitlines()))
        elif isinstance(news, Noted):
            self._write(news.text)
        if isinstance(news, Over) or self._clock() - self._drawn >= _PAUSE:
            self._drawn = self._clock()
            self._draw(self.picture(folded=isinstance(news, Over)))

    def picture(self, *, folded: bool) -> dict[str, str]:
        """Return the progress as plain text and as HTML. A folded one is a line that opens at a click."""
        head, rows = self._head(), self._rows()
        body = "\n".join([*rows, *(f"| {line}" for line in self._lines)])
        if folded:
            inner = f"<details><summary>{html.escape(head)}</summary><pre>{html.escape(body)}</pre></details>"
            return {"text/plain": head, "text/html": inner}
        text = f"{head}\n{body}" if body else head
        return {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}

    def _event(self, event: Any) -> None:
        body, step = event.body, event.step
        if isinstance(body, StepCalled):
            self._called(step, body.spec.task)
        elif isinstance(body, AttemptStarted) and step in self._task:
            self._state[step] = "running"
        elif isinstance(body, StepEnded) and step in self._task:
            self._state[step] = _word(body)
        elif isinstance(body, MetricsLogged):
            for point in body.points:
                self._metrics.pop(point.name, None)
                self._metrics[point.name] = point.value
        elif isinstance(body, RunEnded):
            failed = f": {one_line(body.failure.message)}" if body.failure is not None else ""
            self._outcome = f"{body.phase.lower()}{failed}"

    def _called(self, step: str, task: str) -> None:
        self._task[step] = task
        self._state.setdefault(step, "waiting")

    def _write(self, *lines: str) -> None:
        self._lines = [*self._lines, *map(one_line, lines)][-_LINES:]

    def _head(self) -> str:
        spent = format_duration(self._clock() - self._begun)
        return f"run {self._run}  {self._outcome or 'running'}  {len(self._task)} steps  {spent}"

    def _rows(self) -> list[str]:
        counts: dict[str, dict[str, int]] = {}
        for step, task in self._task.items():
            of_task = counts.setdefault(task, {})
            word = self._state[step]
            of_task[word] = of_task.get(word, 0) + 1
        rows = [
            f"{task}  " + ", ".join(f"{found[word]} {word}" for word in _WORDS if word in found)
            for task, found in counts.items()
        ]
        last = list(self._metrics.items())[-_METRICS:]
        return rows + (["  ".join(f"{name} {value:.6g}" for name, value in last)] if last else [])


def _word(body: StepEnded) -> str:
    if body.phase is Phase.SUCCEEDED:
        return "cached" if body.cached else "done"
    if body.failure is not None and body.failure.reason is Reason.GIVEN_UP:
        return "given up"
    return "failed" if body.phase is Phase.FAILED else "cancelled"
