"""The least that isolated steps could cost: a warm process that forks a child for each, and nothing else.

`sketch.py MODE STEPS WORKERS FOLDER` prints the seconds it took. With MODE `bare` a child calls the function and ends;
with `recorded` it first writes a record with its result that is durable, and the parent reads it. The process has loaded
what a host of Fairway has loaded, since the cost of a fork grows with what is loaded.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path

import fairway.runner.host  # noqa: F401
from fairway.formats.warming import warm

MODE, STEPS, WORKERS, FOLDER = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]


def more(number: int) -> int:
    """One step."""
    return number + 1


def child(number: int) -> None:
    """What the forked process does."""
    result = more(number)
    if MODE == "recorded":
        path = f"{FOLDER}/{number}.json"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, json.dumps({"step": number, "attempt": 1, "result": result}).encode())
        os.fsync(fd)
    os._exit(0)


def finish(running: dict[int, int]) -> None:
    """Wait for one child and read what it left."""
    pid, status = os.wait()
    number = running.pop(pid)
    assert status == 0
    if MODE == "recorded":
        assert json.loads(Path(f"{FOLDER}/{number}.json").read_bytes())["result"] == number + 1


def main() -> None:
    """All steps, at most so many at a time."""
    warm()
    gc.collect()
    gc.freeze()
    running: dict[int, int] = {}
    begun = time.perf_counter()
    for number in range(STEPS):
        if len(running) == WORKERS:
            finish(running)
        pid = os.fork()
        if pid == 0:
            child(number)
        running[pid] = number
    while running:
        finish(running)
    sys.stdout.write(f"{time.perf_counter() - begun}\n")


if __name__ == "__main__":
    main()
