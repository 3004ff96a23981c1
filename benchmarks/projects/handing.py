"""A hundred megabytes from one step to the next; how long that took is written to a file."""

import time

import numpy as np

import fairway as fw


@fw.task
def make(megabytes: int, number: int) -> tuple[np.ndarray, float]:
    """An array that no other number gives, and when it was ready."""
    made = np.random.default_rng(number).random(megabytes * 125_000)
    return made, time.monotonic()


@fw.task
def use(array: np.ndarray, ready: float) -> float:
    """Seconds until it was there."""
    took = time.monotonic() - ready
    assert array[-1] < 1
    return took


@fw.pipeline
def main(out: str, megabytes: int = 100, count: int = 3):
    """So many arrays, one after the other."""
    seen: list[float] = []
    for number in range(count):
        array, ready = make(megabytes, number)
        seen.append(float(use(array, ready)))
    with open(out, "w") as file:
        file.write(" ".join(map(str, seen)))
