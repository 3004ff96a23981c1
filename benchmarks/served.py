"""From an empty environment to the first prediction: installing, training, registering, serving, asking."""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.environments import LOCKS, uv
from benchmarks.installing import wheel
from benchmarks.measuring import Sample, alternate, clean, command, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_PATIENCE = 300.0
ROW = [14.0, 20.0, 90.0, 600.0, 0.1, 0.1, 0.1, 0.05, 0.18, 0.06, 0.4, 1.2, 3.0, 40.0, 0.007, 0.02, 0.03, 0.01,
       0.02, 0.004, 16.0, 26.0, 107.0, 880.0, 0.13, 0.25, 0.27, 0.11, 0.29, 0.08]  # fmt: skip


class Place:
    """A folder in which one side goes all the way, the seconds of each part noted."""

    def __init__(self, folder: Path, tool: str, wheels: Path) -> None:
        self.folder, self.tool, self.wheels = counting.fresh(folder), tool, wheels
        self.python = self.folder / "env" / "bin" / "python"
        self.parts: Sample = {}
        self._begun = time.perf_counter()

    def part(self, name: str, *commands: Sequence[str | Path]) -> None:
        """Commands that make up one part."""
        for words in commands:
            command(words, self.folder, {"FAIRWAY_HOME": str(self.folder / ".fairway")})
        self.note(name)

    def note(self, name: str) -> None:
        """A part ends now."""
        self.parts[name] = time.perf_counter() - self._begun - sum(self.parts.values())

    def install(self, lock: str, *more: Path) -> None:
        """A new environment and what is in it, from files that are here already."""
        locked: list[str | Path] = ["--quiet", "--no-index", "--find-links", self.wheels]
        wanted: list[str | Path] = ["--require-hashes", "-r", LOCKS / f"{lock}.txt"]
        extra = [["--no-deps", path] for path in more]
        if self.tool == "pip":
            make: list[str | Path] = [sys.executable, "-m", "venv", self.folder / "env"]
            put: list[str | Path] = [
                self.python,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                *locked,
            ]
        else:
            make = [uv(), "venv", "--quiet", "--python", sys.executable, self.folder / "env"]
            put = [uv(), "pip", "install", "--python", self.python, *locked]
        self.part("install", make, [*put, *wanted], *([*put, *one] for one in extra))

    def asked(self, url: str, body: object, process: "subprocess.Popen[bytes] | None" = None) -> Sample:
        """Ask until there is an answer; all seconds so far."""
        data = json.dumps(body).encode()
        until = time.monotonic() + _PATIENCE
        while True:
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                    answer.read()
                break
            except urllib.error.HTTPError as error:
                raise RuntimeError(f"{url} answered {error.code}: {error.read()[:500]!r}") from error
            except OSError:
                if time.monotonic() > until or (process and process.poll() is not None):
                    raise
                time.sleep(0.02)
        self.note("first prediction")
        return {"wall": sum(self.parts.values()), **self.parts}


def measure(bench: Bench) -> Figures:
    """Both sides go all the way, with pip and with uv; nothing is downloaded meanwhile."""
    folder = bench.folder
    built = wheel(folder)
    sides: dict[str, Callable[[str], Sample]] = {
        "Fairway": lambda tool: _fairway(Place(folder, tool, fetched(bench, "served")), built)
    }
    if not bench.quick and bench.peer("MLflow"):
        sides["MLflow"] = lambda tool: _mlflow(Place(folder, tool, fetched(bench, "mlflow")))
    for lock in ("served", "mlflow")[: len(sides)]:
        fetched(bench, lock)
    figures: Figures = {}
    for tool, rounds in (("uv", bench.size(2, 1)), ("pip", 1)):
        bench.say(f"with {tool}")
        turns = {name: partial(side, tool) for name, side in sides.items()}
        figures[tool] = alternate(turns, rounds, warm=0)
    return figures


def fetched(bench: Bench, lock: str) -> Path:
    """A folder with all files of a lock, downloaded once."""
    place = bench.environments.folder / f"wheels-{lock}"
    wanted = (LOCKS / f"{lock}.txt").read_bytes()
    mark = place / "lock"
    if not mark.exists() or mark.read_bytes() != wanted:
        bench.say(f"downloading what {lock}.txt names")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
        words = ["download", *quiet, "-d", place, "--require-hashes", "-r", LOCKS / f"{lock}.txt"]
        command([sys.executable, "-m", "pip", *words], bench.folder)
        mark.write_bytes(wanted)
    return place


def _fairway(place: Place, built: Path) -> Sample:
    program = place.python.parent / "fairway"
    place.install("served", built)
    try:
        place.part("train and register", [program, "init"], [program, "run", "cancer.py"])
        place.part("serve", [program, "deploy", "cancer"])
        said = (place.folder / "command.log").read_text()
        url = next(word for word in said.split() if word.startswith("http") and "/v2/" in word)
        return place.asked(url.split("/v2/")[0] + "/", _example(url))
    finally:
        command([program, "down"], place.folder, {"FAIRWAY_HOME": str(place.folder / ".fairway")})
        shutil.rmtree(place.folder)


def _example(url: str) -> object:
    with urllib.request.urlopen(url.split("/v2/")[0] + "/openapi.json", timeout=30) as answer:
        operation = json.load(answer)["paths"]["/"]["post"]
    return operation["requestBody"]["content"]["application/json"]["example"]


def _mlflow(place: Place) -> Sample:
    place.install("mlflow")
    settings = {"MLFLOW_TRACKING_URI": f"sqlite:///{place.folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true",
                "PATH": f"{place.python.parent}:{clean()['PATH']}"}  # fmt: skip
    command([place.python, counting.PROJECTS / "cancer_mlflow.py"], place.folder, settings)
    place.note("train and register")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [place.python.parent / "mlflow", "models", "serve", "-m", "models:/cancer/1", "--env-manager", "local",
             "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    with open(place.folder / "serve.log", "wb") as log:
        server = subprocess.Popen(
            list(map(str, words)), cwd=place.folder, env={**clean(), **settings}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        columns = json.loads(_columns(place.python))
        body = {"dataframe_split": {"columns": columns, "data": [ROW]}}
        return place.asked(f"http://127.0.0.1:{port}/invocations", body, server)
    finally:
        _end_group(server)
        shutil.rmtree(place.folder)


def _columns(python: Path) -> str:
    code = "import json; from sklearn.datasets import load_breast_cancer as l; print(json.dumps(list(l().feature_names)))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout


def _end_group(server: "subprocess.Popen[bytes]") -> None:
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _cause(figures: Figures, tool: str) -> str:
    own = figures[tool]["Fairway"]
    if tool == "pip":
        return f"pip itself takes {_took(own, 'install')} of it to install what the project needs."
    learning = [_took(figures[one]["Fairway"], "train and register") for one in ("uv", "pip")]
    return (
        "uv leaves it to Python to compile what it installs, when training first imports it: "
        f"training takes {learning[0]} after uv and {learning[1]} after pip, which compiles while it installs."
    )


def tell(figures: Figures) -> Told:
    """A row for each installer, and the parts."""
    goals = {"pip": 15.0, "uv": 8.0}
    seen: list[Seen] = []
    for tool, limit in goals.items():
        took = of(figures[tool], "Fairway").middle
        there = "MLflow" in figures[tool]
        seen.append(
            Seen(milliseconds(took),
                 f"MLflow {milliseconds(of(figures[tool], 'MLflow').middle)}" if there else "",
                 times(ratio(figures[tool], "Fairway", "MLflow")) if there else "", took <= limit,
                 _cause(figures, tool))
        )  # fmt: skip
    parts = ("install", "train and register", "serve", "first prediction")
    rows = tuple(
        (f"{name}, {tool}", *(_took(samples[name], part) for part in (*parts, "wall")))
        for tool, samples in figures.items()
        for name in samples
    )
    return Told(
        tuple(seen),
        (Table(("Side", *(part.capitalize() for part in parts), "All"), rows),),
        (
            "What is installed was downloaded before, so no network is in these figures. Fairway's project is the one "
            "that `fairway init` writes; MLflow's does the same work and is served by `mlflow models serve`.",
            "Fairway's first prediction is asked once `fairway deploy` has returned, MLflow's until it answers; "
            "the wait for the server is in `serve` for Fairway and in `first prediction` for MLflow.",
        ),
    )


def _took(samples: list[Sample], part: str) -> str:
    """The middle of a part; empty where a side has no such part."""
    seen = [sample[part] for sample in samples if part in sample]
    return milliseconds(statistics.median(seen)) if seen else ""


SUBJECT = Subject(
    name="served",
    title="From nothing to a served model",
    says="A new virtual environment, installing, training three models, registering the best one, serving it, "
    "and the first prediction.",
    goals=(
        Goal("zero to served, installed with pip", "≤ 15 s"),
        Goal("zero to served, installed with uv", "≤ 8 s"),
    ),
    measure=measure,
    tell=tell,
)
