"""The same with Ray: `handing_ray.py MEGABYTES COUNT STEPS` prints the seconds of each array, and then of a fresh process.

`max_calls=1` gives every task a process of its own, as steps of Fairway have.
"""

import sys
import time

import numpy as np
import ray

MEGABYTES, COUNT, STEPS = map(int, sys.argv[1:])


@ray.remote(num_returns=2, max_calls=1)
def make(megabytes):
    made = np.random.default_rng(0).random(megabytes * 125_000)
    return made, time.monotonic()


@ray.remote(max_calls=1)
def use(array, ready):
    took = time.monotonic() - ready
    assert array[-1] < 1
    return took


@ray.remote(num_returns=2)
def make_warm(megabytes):
    made = np.random.default_rng(0).random(megabytes * 125_000)
    return made, time.monotonic()


@ray.remote
def use_warm(array, ready):
    took = time.monotonic() - ready
    assert array[-1] < 1
    return took


@ray.remote(max_calls=1)
def more(number):
    return number + 1


def main():
    """Arrays handed on, then a chain of steps."""
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    fresh, warm = [], []
    for _ in range(COUNT):
        fresh.append(ray.get(use.remote(*make.remote(MEGABYTES))))
        warm.append(ray.get(use_warm.remote(*make_warm.remote(MEGABYTES))))
    ray.get(more.remote(0))
    begun = time.monotonic()
    number = 0
    for _ in range(STEPS):
        number = ray.get(more.remote(number))
    step = (time.monotonic() - begun) / STEPS
    sys.stdout.write(f"\nSEEN {' '.join(map(str, fresh))}\nWARM {' '.join(map(str, warm))}\nSTEP {step}\n")


if __name__ == "__main__":
    main()
