"""Records a store of the version that is installed, for later versions to open.

`python tests/faults/stores/recording.py` runs a small project with the real command line and packs its store into
`recorded/fairway-VERSION.tar.xz`. Do it once for each release, and never change one that is there.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import fairway

PLACE = Path("/srv/example")
RECORDED = Path(__file__).with_name("recorded")
PROJECT = """
import datetime
from dataclasses import dataclass
from pathlib import Path

import fairway as fw
import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.linear_model import LinearRegression


@dataclass
class Plan:
    name: str
    day: datetime.date


@fw.task(cache=True)
def plain(count: int) -> dict[str, object]:
    return {"numbers": list(range(count)), "nothing": None, "bytes": b"xyz"}


@fw.task(cache=True)
def table(count: int) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(float(count)), "y": np.arange(float(count)) * 2 + 0.25})


@fw.task
def arrays(data: pd.DataFrame) -> tuple[np.ndarray, Plan]:
    print("arrays of", len(data))
    fw.log(step=1, loss=0.5)
    fw.log(step=2, loss=0.25)
    return np.ones((100, 100)), Plan("later", datetime.date(2026, 1, 2))


@fw.task
def written() -> fw.File:
    Path("words.txt").write_text("words")
    fw.show("<svg xmlns='http://www.w3.org/2000/svg'></svg>", title="nothing")
    return fw.File("words.txt")


@fw.task(retries=1)
def broken() -> int:
    raise ValueError("as wanted")


@fw.task
def train(data: pd.DataFrame) -> RegressorMixin:
    return LinearRegression().fit(data[["x"]], data.y)


@fw.task
def judge(model: RegressorMixin, data: pd.DataFrame) -> fw.Evaluation:
    return fw.evaluate(data.y, model.predict(data[["x"]]))


@fw.pipeline
def whole(count: int = 50) -> fw.ModelVersion:
    plain(count)
    data = table(count)
    arrays(data)
    written()
    try:
        fw.value(broken())
    except fw.StepFailed as failure:
        print("caught", failure)
    model = train(data)
    report = judge(model, data)
    return fw.register("line", model, evaluation=report, sample=data[["x"]].head(8), at_least={"r2": 0.5}, alias="champion")


@fw.pipeline
def failing() -> int:
    return broken()


@fw.endpoint
def double(x: float) -> float:
    return 2 * x
"""


def main() -> None:
    """Make the recording of this version."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    (PLACE / "project.py").write_text(PROJECT.lstrip())
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FAIRWAY_")}
    commands = (
        "run project.py:whole",
        "run project.py:whole --count 60",
        "run project.py:failing",
        "models alias line first 1",
        "deploy line:1 --replicas 1",
        "deploy project.py",
        "undeploy double",
        "down",
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *command.split()], cwd=PLACE, env=environment, check=False
        )
        assert done.returncode == (1 if "failing" in command else 0), command
    for left in ("endpoints", "platform"):
        shutil.rmtree(PLACE / ".fairway" / left)
        (PLACE / ".fairway" / left).mkdir()
    RECORDED.mkdir(exist_ok=True)
    with tarfile.open(RECORDED / f"fairway-{fairway.__version__}.tar.xz", "w:xz") as archive:
        archive.add(PLACE, arcname="example")
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main()
