"""Runs `fairway run` in this process with its functions timed from outside: `profiled.py MODE FILE STEPS OUT`.

With MODE `marks` it notes when a step is ordered and when its end is heard; with `parts` it adds up the time of each part
of the engine, what a part calls not counted as its own.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

BEGUN = time.monotonic()

from fairway.cli.main import main  # noqa: E402

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


def time_parts() -> None:
    """The parts of the engine."""
    from fairway.cli import progress
    from fairway.engine import run
    from fairway.local.executor import LocalHost
    from fairway.plan import cachekey
    from fairway.stores import SqliteMetadata

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


if __name__ == "__main__":
    mode, file, steps, out = sys.argv[1:]
    (mark_steps if mode == "marks" else time_parts)()
    ready = time.process_time()
    status = main(["run", file, "--steps", steps])
    told = {"marks": MARKS, "parts": PARTS, "cpu": time.process_time() - ready}
    with open(out, "w") as kept:
        json.dump(told, kept)
    sys.exit(status)
