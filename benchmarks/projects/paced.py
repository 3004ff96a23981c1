"""Pipelines that print when each thing happened, in seconds since 1970 and in lines of their own."""

import itertools
import time

import fairway as fw

LINE = "x" * 99
EDITED = 0
"""A number that the benchmark changes, as a person edits a file."""


@fw.task(isolated=True, cpu=0.5, memory="512Mi")
def alone(turn: int) -> list[float]:
    """Return when the first line ran, and when the last one did."""
    return [time.time(), time.time()]


@fw.task
def small(turn: int) -> int:
    """Return the next number."""
    return turn + 1


@fw.task
def talk(turn: int, lines: int) -> int:
    """Print lines of 100 bytes."""
    for _ in range(lines):
        print(LINE)
    return lines


@fw.task(cpu=0.25, memory="256Mi")
def item(place: int, seconds: float, turn: int) -> list[float]:
    """Wait, and return when that began and when it ended."""
    begun = time.time()
    time.sleep(seconds)
    return [begun, time.time()]


@fw.pipeline
def mapped(turn: int = 0, items: int = 1000, seconds: float = 0.2) -> None:
    """Carry out a map, and print how long it took, what its items took together, and how many were at work at once at most."""
    called = time.time()
    spans = [fw.value(span) for span in item.map(range(items), seconds=seconds, turn=turn)]
    wall = time.time() - called
    changes = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    print(f"paced mapped {wall:.4f}")
    print(f"paced together {sum(ended - begun for begun, ended in spans):.4f}")
    print(f"paced most {max(itertools.accumulate(change for _, change in changes))}")


@fw.pipeline
def one(turn: int = 0) -> int:
    """Carry out one small step."""
    print(f"paced began {time.time():.4f} {EDITED}")
    return int(small(turn))


@fw.pipeline
def parts(turn: int = 0, steps: int = 50, lines: int = 100_000) -> int:
    """Carry out a chain of small steps, a step in a pod of its own, and a step that prints.

    The chain comes first: the end of a pod takes CPU of the cluster for seconds after its step is over.
    """
    number = int(small(turn))
    begun = time.time()
    for _ in range(steps):
        number = int(small(number))
    print(f"paced small {(time.time() - begun) / steps:.4f}")
    called = time.time()
    first, last = alone(turn)
    known = time.time()
    print(f"paced code {first - called:.4f}")
    print(f"paced known {known - last:.4f}")
    begun = time.time()
    said = int(talk(turn, lines))
    print(f"paced talk {said * len(LINE + ' ') / (time.time() - begun) / 1e6:.4f}")
    return number
