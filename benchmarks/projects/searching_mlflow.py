"""The trials of `searching.py` in a bare pool of two processes, each recorded as a run by MLflow.

Called as `searching_mlflow.py FILE TRIALS OUT`. MLflow chooses no parameters, so each trial gets those of its number.
"""

import hashlib
import sys
import time
from multiprocessing import Pool
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

_PIECE = bytes(1 << 20)


def _work() -> None:
    """Use 50 ms of a core, as a trial of `searching.py` does."""
    begun = time.thread_time()
    while time.thread_time() - begun < 0.05:
        hashlib.sha256(_PIECE)


def _trial(asked: tuple[str, str, int]) -> None:
    uri, experiment, place = asked
    client = MlflowClient(uri)
    run = client.create_run(experiment).info.run_id
    _work()
    score = -abs(place / 200 - 0.1)
    client.log_batch(
        run,
        metrics=[Metric("score", score, 0, 0)],
        params=[Param("rate", str(place / 200)), Param("depth", str(1 + place % 12))],
    )
    client.set_terminated(run)


def main(file: str, trials: int, out: str) -> None:
    """Run the trials, and write down the seconds without the start of the pool and of the store."""
    uri = f"sqlite:///{file}"
    experiment = MlflowClient(uri).create_experiment("search")
    with Pool(2) as pool:
        pool.map(_trial, [(uri, experiment, 0)] * 4, chunksize=1)
        begun = time.perf_counter()
        pool.map(_trial, [(uri, experiment, place) for place in range(trials)], chunksize=1)
        Path(out).write_text(str(time.perf_counter() - begun))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
