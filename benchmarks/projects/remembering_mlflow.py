"""The same as `remembering.py` with MLflow: `remembering_mlflow.py fill FILE RUNS` and `ask FILE CONDITION OUT`.

One run is recorded through MLflow. The others are copies of its rows with their own values, because MLflow would take an hour.
"""

import json
import sqlite3
import sys
import time
from pathlib import Path

import remembering

_TABLES = ("runs", "metrics", "latest_metrics", "params", "tags")
_SECOND = 1000


def fill(file: str, runs: int) -> None:
    """Record runs, oldest first."""
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{file}")
    experiment = client.create_experiment("main")
    first = client.create_run(experiment, run_name="r000000", start_time=0).info.run_id
    client.log_batch(
        first,
        metrics=[Metric(name, value, 0, 0) for name, value in remembering.metrics(0).items()],
        params=[Param(name, str(value)) for name, value in remembering.parameters(0).items()],
    )
    client.set_terminated(first)
    with sqlite3.connect(file) as db:
        for table in _TABLES:
            _copy(db, table, first, runs)


def _copy(db: sqlite3.Connection, table: str, first: str, runs: int) -> None:
    """Copy the rows of the first run in a table for all other runs."""
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    rows = [dict(zip(columns, row, strict=True)) for row in db.execute(
        f"SELECT {', '.join(columns)} FROM {table} WHERE run_uuid = ?", (first,)
    )]  # fmt: skip
    marks = ", ".join("?" * len(columns))
    db.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
        (
            [_of_run(row, place)[column] for column in columns]
            for place in range(1, runs)
            for row in rows
        ),
    )  # fmt: skip


def _of_run(row: dict[str, object], place: int) -> dict[str, object]:
    """A row of another run."""
    begun = (1_700_000_000 + place) * _SECOND
    own: dict[str, object] = {"run_uuid": remembering.name(place)}
    values = remembering.metrics(place) | remembering.parameters(place)
    if row.get("key") in values:
        value = values[str(row["key"])]
        own["value"] = str(value) if isinstance(row["value"], str) else value
    if "start_time" in row:
        own |= {"name": f"r{place:06}", "start_time": begun, "end_time": begun + 2 * _SECOND}
    return row | own


def ask(file: str, condition: str, out: str) -> None:
    """Ask for runs once, in a process that has opened the store. The answer is a frame."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{file}")
    mlflow.search_runs(experiment_names=["main"], max_results=1)
    begun, used = time.perf_counter(), time.process_time()
    found = mlflow.search_runs(experiment_names=["main"], filter_string=condition, max_results=1_000_000)
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    seen = {"wall": wall, "cpu": cpu, "frame": wall, "frame_cpu": cpu, "count": len(found)}
    Path(out).write_text(json.dumps(seen))


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.argv[2], int(sys.argv[3]))
    else:
        ask(*sys.argv[2:])
