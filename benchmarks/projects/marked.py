"""A chain whose steps note when each part of them was done; only for finding out where the time goes."""

import os
import time
from typing import Any

import fairway as fw
from fairway.runner import attempt
from fairway.runner.values import Values
from fairway.stores import FileResults

MARKS: list[tuple[str, float]] = []
OUT = os.environ.get("MARKS", "")


def note(name: str) -> None:
    """That part is over."""
    MARKS.append((name, time.monotonic()))


def noted(owner: Any, attribute: str, before: str, after: str) -> None:
    """Let a function of the product note when it is called and when it returns."""
    real = getattr(owner, attribute)

    def wrapper(*given: Any, **named: Any) -> Any:
        if before:
            note(before)
        try:
            return real(*given, **named)
        finally:
            if after:
                note(after)

    setattr(owner, attribute, wrapper)


def whole(real: Any) -> Any:
    """A step, whose notes are kept when it is over; that is after its record was told."""

    def wrapper(start: Any, *given: Any) -> Any:
        note("begun")
        status = real(start, *given)
        with open(OUT, "a") as file:
            file.write("".join(f"{start.step} {name} {at!r}\n" for name, at in MARKS))
        return status

    return wrapper


if OUT:
    attempt._step = whole(attempt._step)
    noted(attempt, "_call", "inputs", "function")
    noted(Values, "save", "", "outputs")
    noted(FileResults, "commit", "leaving", "record")


@fw.task
def more(number: int) -> int:
    """One step."""
    return number + 1


@fw.pipeline
def chain(steps: int = 1) -> int:
    """Each step waits for the one before."""
    number = 0
    for _ in range(steps):
        number = more(number)
    return number
