"""The progress of a run on the terminal: a line for each step that ends, and a live line of running steps."""

import asyncio
import math
import os
import sys
import time
from itertools import islice
from typing import TextIO

import msgspec

from fairway.spec.event import AttemptEnded, AttemptStarted, Event, RunResumed, StepCalled, StepEnded
from fairway.spec.quantities import format_duration, format_memory
from fairway.spec.run import Phase, Reason, StepSpec, Usage
from fairway.spec.text import one_line, plain
from fairway.spec.update import Kept, News, Noted, Printed, Recalled, Recorded, Waits
from fairway.spec.wire import DRIVER, REGISTER

_MANY = 12
_REDRAW = 0.1
_TICK = 0.25
_QUIET = 1.0
"""Seconds without a new step of a task, after which the common line of its steps is printed."""

_NARROW = 24
_WIDE = 52
"""The largest width of the first column. The smallest is `_NARROW`."""


class _Call(msgspec.Struct, frozen=True, gc=False):
    """The part of a step's call that is kept. It is small, because a run may have very many steps."""

    task: str
    label: str
    retries: int


class _Held(msgspec.Struct):
    """The steps of a task that get a line together, and their cost."""

    count: int = 0
    cached: int = 0
    given_up: int = 0
    wall: float = 0.0
    memory: int = 0
    begun: int = 0
    since: float = math.inf
    until: float = 0.0
    title: str = ""
    last: StepEnded | None = None

    def cost(self) -> str:
        """Return time and memory for people."""
        wall = self.until - self.since if self.begun > 1 else self.wall
        return f"{format_duration(wall)}" + (f"   {format_memory(self.memory)}" if self.memory else "")


class Progress:
    """The printer of a run's progress.

    `explain` adds why each step ran. `quiet` leaves out the output of steps. Without `live`, each line stays where it was
    printed, because something else uses the terminal too.
    """

    def __init__(
        self, stream: TextIO, *, explain: bool = False, quiet: bool = False, live: bool = True
    ) -> None:
        self._stream = stream
        self._explain = explain
        self._quiet = quiet
        self._live = (
            live and stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
        )
        self._calls: dict[str, _Call] = {}
        self._called = 0
        self._speakers: dict[str, str] = {}
        self._open: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._held: dict[str, _Held] = {}
        self._usage: dict[str, Usage] = {}
        self._begun: dict[str, float] = {}
        self._running: dict[str, None] = {}
        self._ended = 0
        self._kept = 0
        self._lines: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._column = _NARROW
        self._waiting = ""
        self._waited = False
        self._ticker: asyncio.TimerHandle | None = None
        self._drawn = 0.0
        self._partial: dict[tuple[str, int], bytes] = {}
        self._failed: dict[str, _Call] = {}
        self._now = 0.0
        self.models: list[str] = []

    def take(self, news: News) -> None:
        """Print the lines that follow from an update."""
        if isinstance(news, Recorded):
            self.event(news.event)
        elif isinstance(news, Printed):
            self.output(news.step, news.attempt, news.data)
        elif isinstance(news, Recalled):
            self.recalled(news.spec)
        elif isinstance(news, Kept):
            self.kept(news.step)
        elif isinstance(news, Waits):
            self.waits(news.step, news.whom)
        elif isinstance(news, Noted):
            self.note(news.text)

    def event(self, event: Event) -> None:
        """Note a fact, and print the lines that follow from it."""
        body = event.body
        self._now = _moment(event)
        if self._ticker is None:
            self._tick()
        if isinstance(body, StepCalled):
            self.recalled(body.spec)
        elif isinstance(body, AttemptStarted):
            self._running[event.step] = None
            self._begun.setdefault(event.step, self._now)
        elif isinstance(body, AttemptEnded):
            self._attempt(event.step, body)
        elif isinstance(body, StepEnded):
            self._running.pop(event.step, None)
            self._ended += 1
            self._settled(event.step, body)
        elif isinstance(body, RunResumed):
            self._resumed()
        self._draw()

    def _resumed(self) -> None:
        """Note that an earlier try is over. None of its steps runs any more, and those that failed are open."""
        self._running.clear()
        for step, call in self._failed.items():
            self._calls[step] = call
            self._open[call.task] += 1
            self._ended -= 1
        self._failed.clear()

    def recalled(self, spec: StepSpec) -> None:
        """Remember the call of a step."""
        task = sys.intern(spec.task)
        self._calls[spec.name] = _Call(task, spec.label, spec.retries)
        self._called += 1
        self._open[spec.task] = self._open.get(spec.task, 0) + 1
        self._counts[spec.task] = self._counts.get(spec.task, 0) + 1
        self._column = min(_WIDE, max(self._column, len(self._title(spec.name))))

    def kept(self, step: str) -> None:
        """Count a step that needs no work. The number of such steps is printed before the next line."""
        self._kept += 1
        self._ended += 1
        self._open[self._calls.pop(step).task] -= 1

    def output(self, step: str, attempt: int, data: bytes) -> None:
        """Print the complete lines of a step's output, each after the title of the step."""
        if self._quiet:
            return
        data = self._partial.pop((step, attempt), b"") + data
        lines = data.split(b"\n")
        if lines[-1]:
            self._partial[step, attempt] = lines[-1][-65536:]
        name = "" if step == DRIVER else self._speaker(step)
        for line in lines[:-1]:
            text = plain(line.decode("utf-8", "replace").rstrip("\r"))
            self._print(f"  {name} | {text}" if name else f"  | {text}")

    def _speaker(self, step: str) -> str:
        """Return the title of a step. Keep it, because output may arrive after the end of the step."""
        if step not in self._speakers and step not in self._calls:
            return step  # its call is not known yet
        return self._speakers.setdefault(step, self._title(step))

    def waits(self, step: str, whom: str) -> None:
        """Show on the live line that a step waits for other runs. Without a live line, print it once in a run."""
        self._waiting = f"{self._title(step)} waits for {whom}" if whom else ""
        if whom and not self._live and not self._waited:
            self._waited = True
            self._print(f"  {self._cell(self._title(step))} waits for {whom}")
        self._drawn = 0.0 if not self._drawn else -math.inf
        self._draw()

    def headline(self, text: str) -> None:
        """Print the first line."""
        self._print(text)

    def note(self, text: str) -> None:
        """Print a line about the run as a whole."""
        self._print(f"  {text}")

    def finish(self) -> None:
        """Print all lines that were held back, and remove the live line."""
        if self._ticker is not None:
            self._ticker.cancel()
        for task in list(self._held):
            self._release(task)
        for (step, _), rest in self._partial.items():
            text = plain(rest.decode("utf-8", "replace"))
            self._print(f"  {self._title(step) if step != DRIVER else ''} | {text}")
        self._partial.clear()
        self._clear()
        if self._kept:
            kept, self._kept = self._kept, 0
            self._print(f"  {_steps(kept)} done before")

    def _attempt(self, step: str, body: AttemptEnded) -> None:
        self._usage[step] = body.result.usage
        self._running.pop(step, None)
        failure = body.result.failure
        spec = self._calls.get(step)
        if failure is not None and spec is not None and spec.retries and body.number <= spec.retries:
            self._print(
                f"  {self._cell(self._title(step))} attempt {body.number} failed: {failure.message}; trying again"
            )
        elif failure is not None and failure.reason.is_loss:
            self._print(f"  {self._cell(self._title(step))} {failure.message}; trying again")

    def _settled(self, step: str, body: StepEnded) -> None:
        spec = self._calls.get(step)
        if spec is None:
            return
        self._open[spec.task] -= 1
        many = self._counts[spec.task] > _MANY or self._lines.get(spec.task, 0) >= _MANY
        folds = body.phase is Phase.SUCCEEDED or (many and _is_given_up(body))
        if (many or not spec.label) and folds and not self._explain:
            self._hold(self._held.setdefault(spec.task, _Held()), step, body)
            if not self._open[spec.task] and not many:
                self._release(spec.task)
            return
        self._release_what_is_over()
        self._lines[spec.task] = self._lines.get(spec.task, 0) + 1
        one = _Held()
        self._hold(one, step, body)
        self._line(one.title, body, one.cost())

    def _hold(self, held: _Held, step: str, body: StepEnded) -> None:
        """Add a step to those that get a line together."""
        usage, begun = self._usage.pop(step, None), self._begun.pop(step, None)
        held.count += 1
        held.cached += body.cached
        held.given_up += _is_given_up(body)
        held.title, held.last = self._title(step), body
        call = self._calls.pop(step, None)
        if call is not None and body.phase is not Phase.SUCCEEDED and not _is_given_up(body):
            self._failed[step] = call
        if usage is not None:
            held.wall += usage.wall
            held.memory = max(held.memory, usage.memory)
        if begun is not None:
            held.begun += 1
            held.since = min(held.since, begun)
            held.until = self._now

    def _release_what_is_over(self, quiet: float = 0.0) -> None:
        """Print the lines of groups none of whose steps is under way.

        A loop starts its steps one after the other, so its group often looks complete. The pause before the next line
        of a task therefore doubles with each line.
        """
        now = time.monotonic()
        for task, held in list(self._held.items()):
            pause = quiet * 2 ** self._groups.get(task, 0)
            if not self._open[task] and now - held.until >= pause:
                self._groups[task] = self._groups.get(task, 0) + 1
                self._release(task)

    def _tick(self) -> None:
        """Draw the live line again after a pause, so that its durations grow even while nothing is recorded."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._ticker = loop.call_later(_TICK, self._tick)
        self._release_what_is_over(_QUIET)
        self._draw()

    def _release(self, task: str) -> None:
        held = self._held.pop(task, None)
        if held is None or held.last is None:
            return
        title = f"{task} ×{held.count}" if held.count > 1 else held.title
        if 0 < held.given_up < held.count:
            self._print(f"  {self._cell(title)} done      {held.cost()}   {held.given_up} of them given up")
            return
        if 0 < held.cached < held.count:
            self._print(f"  {self._cell(title)} done      {held.cost()}   {held.cached} of them cached")
            return
        self._line(title, held.last, held.cost())

    def _line(self, title: str, body: StepEnded, cost: str) -> None:
        word = "cached" if body.cached else body.phase.word
        word = "given up" if _is_given_up(body) else word
        text = f"  {self._cell(title)} {word:<9} {cost}"
        if body.failure is not None:
            known = (word, Reason.GIVEN_UP.text)
            why = "" if body.failure.message in known else body.failure.message
            text = f"  {self._cell(title)} {word:<9} {why}"
        elif self._explain and body.why:
            text = f"{text}   {body.why}"
        if body.phase is Phase.SUCCEEDED and body.outputs and body.outputs[0].kind.endswith("ModelVersion"):
            text = f"  {self._cell(title)} {body.outputs[0].note or 'registered'}"
        self._print(text.rstrip())

    def _title(self, step: str) -> str:
        spec = self._calls.get(step)
        if spec is None:
            return self._speakers.get(step, step)
        if spec.task == REGISTER:  # its line names the model in any case
            return REGISTER
        return f"{spec.task} {spec.label}" if spec.label else step

    def _cell(self, title: str) -> str:
        """Return a title in the width of the first column."""
        if len(title) > self._column:
            title = title[: self._column - 1] + "…"
        return title.ljust(self._column)

    def _print(self, text: str) -> None:
        self._clear()
        if self._kept:
            self._write(f"  {_steps(self._kept)} done before\n")
            self._kept = 0
        self._write(one_line(text) + "\n")

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._live or now - self._drawn < _REDRAW:
            return
        self._drawn = now
        running = [
            f"{self._title(step)} {format_duration(now - self._begun.get(step, now))}"
            for step in islice(self._running, 3)
        ]
        more = f" and {len(self._running) - 3} more" if len(self._running) > 3 else ""
        told = "   ".join(filter(None, (", ".join(running) + more, self._waiting)))
        width = _width(self._stream)
        text = f"  {self._ended}/{self._called} steps   {told}"[: max(10, width - 1)]
        self._write(f"\r\x1b[K{one_line(text)}")

    def _clear(self) -> None:
        if self._live and self._drawn:
            self._write("\r\x1b[K")
            self._drawn = 0.0

    def _write(self, text: str) -> None:
        """Write a text. If it cannot be written, the run goes on without a live line."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._live = False


def _is_given_up(body: StepEnded) -> bool:
    return body.failure is not None and body.failure.reason is Reason.GIVEN_UP


def _moment(event: Event) -> float:
    """Return the time of an event on the monotonic clock. The event may be read long after it was recorded."""
    now = time.monotonic()
    return now - max(0.0, time.time() - event.time) if event.time else now


def _width(stream: TextIO) -> int:
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return 80


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def story() -> TextIO:
    """Return the stream for the progress of runs."""
    return sys.stderr
