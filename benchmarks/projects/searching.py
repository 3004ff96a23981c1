"""Trials that need 50 ms of a core each: searched with Fairway, by Optuna alone, and done by a bare pool of two processes."""

import hashlib
import sys
import time
from pathlib import Path

import fairway as fw

_PIECE = bytes(1 << 20)
SPACE = {"rate": (1e-3, 1.0, "log"), "depth": (1, 12)}


def work(rate: float, depth: int) -> float:
    """Use 50 ms of a core, in a way that lets other threads of the process work."""
    begun = time.thread_time()
    while time.thread_time() - begun < 0.05:
        hashlib.sha256(_PIECE)
    return -abs(rate - 0.1) - 0.01 * abs(depth - 6)


@fw.task
def trial(rate: float, depth: int) -> float:
    """A trial as a step."""
    return work(rate, depth)


@fw.pipeline
def search(trials: int = 200, out: str = "seconds"):
    """The search alone, without the start of the command and the import of Optuna."""
    fw.search(trial, {"rate": (0.1, 0.2), "depth": (1, 2)}, trials=1, name="warm")
    begun = time.perf_counter()
    fw.search(trial, SPACE, trials=trials)
    Path(out).write_text(str(time.perf_counter() - begun))


def alone(trials: int, out: str) -> None:
    """The same trials with Optuna in two threads of one process, without a record or isolation."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(one: optuna.Trial) -> float:
        return work(one.suggest_float("rate", 1e-3, 1.0, log=True), one.suggest_int("depth", 1, 12))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    begun = time.perf_counter()
    study.optimize(objective, n_trials=trials, n_jobs=2)
    Path(out).write_text(str(time.perf_counter() - begun))


def pooled(trials: int, out: str) -> None:
    """As many trials in a bare pool of two processes, which chooses nothing: as busy as trials can keep two cores."""
    from multiprocessing import Pool

    with Pool(2) as pool:
        pool.map(_point, range(2), chunksize=1)
        begun = time.perf_counter()
        pool.map(_point, range(trials), chunksize=1)
        Path(out).write_text(str(time.perf_counter() - begun))


def _point(place: int) -> float:
    return work(0.1, 1 + place % 12)


if __name__ == "__main__":
    {"alone": alone, "pooled": pooled}[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
