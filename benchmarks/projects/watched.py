"""A chain that people watch on its page, and a function that answers requests meanwhile."""

import time

import fairway as fw


@fw.task
def more(number: int) -> int:
    """Return the next number."""
    return number + 1


@fw.pipeline
def watched(steps: int = 1) -> float:
    """Carry out a chain of steps, and return the seconds that it took."""
    begun, number = time.perf_counter(), 0
    for _ in range(steps):
        number = int(more(number))
    return time.perf_counter() - begun


@fw.pipeline
def paced(seconds: float = 1.0) -> int:
    """Carry out ten steps a second for some time."""
    until, number = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        number = int(more(number))
        time.sleep(0.1)
    return number


@fw.endpoint
def answer(number: int) -> int:
    """Return the next number."""
    return number + 1
