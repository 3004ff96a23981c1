"""Runs `fairway run` in this process with its functions timed from outside: `profiled.py MODE FILE STEPS OUT`.

With MODE `marks` it notes when a step is ordered and when its end is heard; with `start` what happens from the start of the
command to its end; with `parts` it adds up the time of each part of the engine, what a part calls not counted as its own.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

BEGUN = time.monotonic()

from fairway.cli import program  # noqa: E402
from fairway.local import exiting  # noqa: E402
from fairway.wiring import headstart, runs  # noqa: E402

MARKS: list[tuple[str, str, float]] = []
PARTS: Counter[str] = Counter()
STACK: list[float] = []


def marked(owner: Any, attribute: str, tell: Callable[[Any], tuple[str, str] | None]) -> None:
    """Note when a function is called with what is worth a note."""
    real = getattr(owner, attribute)

    def wrapper(self: Any, *given: Any) -> Any:
        told = tell(given[-1])
        if told:
            MARKS.append((*told, time.monotonic()))
        return real(self, *given)

    setattr(owner, attribute, wrapper)


def timed(owner: Any, attribute: str, part: str) -> None:
    """Add up the time of a function, without that of timed ones inside it."""
    real = getattr(owner, attribute)

    def wrapper(*given: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        STACK.append(0.0)
        try:
            return real(*given, **named)
        finally:
            took = time.perf_counter() - begun
            PARTS[part] += took - STACK.pop()
            if STACK:
                STACK[-1] += took

    setattr(owner, attribute, wrapper)


def mark_steps() -> None:
    """When the engine orders a step and hears of its record."""
    from fairway.engine.run import RunEngine
    from fairway.local.executor import LocalHost
    from fairway.spec.wire import DRIVER, Start

    def ordered(message: Any) -> tuple[str, str] | None:
        return (message.step, "ordered") if isinstance(message, Start) and message.step != DRIVER else None

    marked(LocalHost, "send", ordered)
    marked(RunEngine, "_committed", lambda result: (result.step, "heard"))


def note(name: str) -> None:
    """The command has come this far."""
    MARKS.append(("", name, time.monotonic()))


def mark_start() -> None:
    """How far the command has come; the engine is loaded where the command does so itself."""
    head_start, open_project = headstart.head_start, runs.open_project

    def headed(path: str) -> None:
        head_start(path)
        note("launched")

    async def opened(*given: Any) -> Any:
        note("asked")
        from fairway.engine.run import RunEngine
        from fairway.local.executor import LocalExecutor

        note("loaded")
        adopt, run = LocalExecutor.adopt, RunEngine.run

        async def adopted(*given: Any) -> Any:
            described = await adopt(*given)
            note("described")
            return described

        async def ran(*given: Any, **named: Any) -> Any:
            note("bound")
            mark_steps()
            ended = await run(*given, **named)
            note("ended")
            return ended

        LocalExecutor.adopt, RunEngine.run = adopted, ran
        return await open_project(*given)

    MARKS.append(("", "begun", BEGUN))
    headstart.head_start, runs.open_project = headed, opened


def time_parts() -> None:
    """The parts of the engine."""
    from fairway.cli import progress
    from fairway.engine import run
    from fairway.local.executor import LocalHost
    from fairway.plan import cachekey
    from fairway.stores.metadata import SqliteMetadata

    engine = run.RunEngine
    timed(engine, "hear", "reading messages, the rest")
    timed(run, "decide", "deciding")
    timed(engine, "_look_up", "looking up, the rest")
    timed(cachekey, "parts", "making the key")
    timed(cachekey, "key", "making the key")
    timed(SqliteMetadata, "cached", "asking the store")
    timed(SqliteMetadata, "last_parts", "asking the store")
    timed(SqliteMetadata, "submit", "handing events to the writer")
    timed(engine, "_record", "noting events")
    timed(engine, "_begin", "ordering a step")
    timed(LocalHost, "send", "sending to the host")
    for name, value in vars(progress).items():
        if isinstance(value, type) and "event" in vars(value):
            timed(value, "event", f"showing progress ({name})")


def keep(status: int) -> None:
    """Write what was seen, in place of the command's way out."""
    note("left")
    told = {"marks": MARKS, "parts": PARTS, "cpu": time.process_time() - READY}
    with open(OUT, "w") as kept:
        json.dump(told, kept)
    sys.exit(status)


if __name__ == "__main__":
    MODE, FILE, STEPS, OUT = sys.argv[1:]
    {"marks": mark_steps, "start": mark_start, "parts": time_parts}[MODE]()
    sys.argv[1:] = ["run", FILE, "--steps", STEPS]
    exiting.leave = keep
    READY = time.process_time()
    program.main()
