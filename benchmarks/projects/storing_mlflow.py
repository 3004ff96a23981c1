"""A file as that of `storing.py`, as an artifact of a run of MLflow.

Called as `storing_mlflow.py STORE MEGABYTES OUT`. It writes down the name of the run.
"""

import os
import sys
from pathlib import Path

import mlflow

_MEGABYTE = 1_000_000


def main(store: str, megabytes: int, out: str) -> None:
    """Log a file that no file system can store in less room."""
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    experiment = mlflow.create_experiment("main", artifact_location=Path(store, "artifacts").as_uri())
    file = Path(store, "large.bin")
    file.write_bytes(os.urandom(_MEGABYTE) * megabytes)
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_artifact(str(file))
    file.unlink()
    Path(out).write_text(run.info.run_id)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
