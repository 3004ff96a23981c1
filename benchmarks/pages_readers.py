"""Two hundred people who watch a live run: what they cost the platform, and whether run and endpoint notice them."""

import base64
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import counting
from benchmarks.measuring import Sample, Samples, alternate, clean, milliseconds, of, ratio, times
from benchmarks.pages_browser import cpu
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_READERS = 200
_PATIENCE = 120.0
_ALONE, _WATCHED = "alone", f"{_READERS} readers"


class _Place(msgspec.Struct):
    """A folder with a platform that serves an endpoint, and what is needed to ask both."""

    folder: Path
    port: int
    token: str
    pid: int
    endpoint: int

    def environment(self) -> dict[str, str]:
        """Return the variables of every command."""
        return {**clean(), "HOME": str(self.folder), "CI": "1"}

    def fairway(self, *words: str) -> str:
        """Run a command, and return what it printed."""
        done = subprocess.run(
            [counting.FAIRWAY, *words], cwd=self.folder, env=self.environment(), check=True,
            capture_output=True, text=True, timeout=_PATIENCE,
        )  # fmt: skip
        return done.stdout

    def asked(self, path: str) -> Any:
        """Return what the API of the platform answers."""
        headers = {"authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            return json.load(answer)


def measure(bench: Bench) -> Figures:
    """Carry out the same runs with readers and without, in turns."""
    steps, seconds = bench.size(1000, 200), bench.size(10, 3)
    with _platform(bench) as place:
        chain = {
            _ALONE: partial(_chain, place, steps, 0),
            _WATCHED: partial(_chain, place, steps, _READERS),
        }
        bench.say(f"chains of {steps} steps")
        chains = alternate(chain, bench.size(4, 1))
        asked = {
            _ALONE: partial(_answers, place, seconds, 0),
            _WATCHED: partial(_answers, place, seconds, _READERS),
        }
        bench.say("requests beside a live run")
        answers = alternate(asked, bench.size(4, 1))
    return {"steps": steps, "seconds": seconds, "chain": chains, "answers": answers}


def _chain(place: _Place, steps: int, readers: int) -> Sample:
    """Carry out a chain as fast as it goes, with so many readers of its page."""
    with ExitStack() as stack:
        before = begun = 0.0
        # The readers leave when the run is over, so that they are there for all of it.
        reading = stack.enter_context(ExitStack())
        with _running(place, "watched", "--steps", str(steps)) as run:
            reading.enter_context(_reading(place, run, readers))
            before, begun = cpu([place.pid]), time.perf_counter()
        spent, lasted = cpu([place.pid]) - before, time.perf_counter() - begun
    result = place.asked(f"runs/{run}")["result"]["inline"]
    return {"step": float(base64.b64decode(result)) / steps, "core": spent / lasted, "lasted": lasted}


def _answers(place: _Place, seconds: int, readers: int) -> Sample:
    """Ask an endpoint over one connection beside a live run, with so many readers of its page."""
    plan = {
        "head": f"POST / HTTP/1.1\nhost: 127.0.0.1:{place.endpoint}\ncontent-type: application/json\n",
        "body": str(place.folder / "body"), "port": place.endpoint, "connections": 1,
        "warm": 1.0, "seconds": seconds,
    }  # fmt: skip
    (place.folder / "plan.json").write_text(json.dumps(plan))
    (place.folder / "body").write_text("7")
    script = Path(__file__).parent / "serving_load.py"
    with _running(place, "paced", "--seconds", str(seconds + 3)) as run:  # noqa: SIM117
        with _reading(place, run, readers):
            before, begun = cpu([place.pid]), time.perf_counter()
            done = subprocess.run(
                [sys.executable, script, place.folder / "plan.json"],
                check=True,
                capture_output=True,
                text=True,
            )
            spent = (cpu([place.pid]) - before) / (time.perf_counter() - begun)
    seen = json.loads(done.stdout)
    return {
        "p50": seen["p50_ms"] / 1000,
        "p99": seen["p99_ms"] / 1000,
        "core": spent,
        "bad": float(seen["bad"]),
    }


@contextmanager
def _platform(bench: Bench) -> Generator[_Place]:
    """Start a platform with an endpoint in a new folder."""
    folder = counting.fresh(bench.folder)
    (folder / "watched.py").write_bytes((counting.PROJECTS / "watched.py").read_bytes())
    place = _Place(folder, 0, "", 0, 0)
    place.fairway("up")
    try:
        said = place.fairway("deploy", "watched.py:answer", "--replicas", "1")
        place.endpoint = int(said.partition("http://127.0.0.1:")[2].partition("/")[0])
        store = folder / ".fairway" / "platform"
        record = json.loads((store / "platform.json").read_bytes())
        place.port, place.pid = record["port"], record["pid"]
        place.token = (store / "token").read_text("utf-8").strip()
        yield place
    finally:
        place.fairway("down")


@contextmanager
def _running(place: _Place, pipeline: str, *words: str) -> Generator[str]:
    """Start a run, give its name, and wait for its end."""
    run = place.fairway("run", f"watched.py:{pipeline}", *words, "--detach").split()[-1]
    yield run
    until = time.monotonic() + _PATIENCE
    while place.asked("runs?limit=1")[0]["phase"] in ("Pending", "Running"):
        if time.monotonic() > until:
            raise RuntimeError(f"run {run} does not end")
        time.sleep(0.2)


@contextmanager
def _reading(place: _Place, run: str, readers: int) -> Generator[None]:
    """Let so many readers watch a run."""
    if not readers:
        yield
        return
    words = [
        sys.executable, counting.PROJECTS / "reading.py", place.port, f"/runs/{run}/live", place.token, readers,
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    overdue = threading.Timer(_PATIENCE, process.kill)
    overdue.start()
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != str(readers):
            raise RuntimeError(f"not all of {readers} readers were answered")
        yield
        told, _ = process.communicate("", _PATIENCE)
        if not json.loads(told)["parts"] > readers:
            raise RuntimeError("the readers were told nothing")
    finally:
        overdue.cancel()
        process.kill()
        process.wait()


def tell(figures: Figures) -> Told:
    """A row for each of what might notice the readers, and both sides."""
    chains, answers = figures["chain"], figures["answers"]
    load = "The 200 readers are on the same two cores as run, endpoint and client."
    shares = [
        (of(samples, _WATCHED, "core").middle, of(samples, _ALONE, "core").middle)
        for samples in (chains, answers)
    ]
    watched, alone = max(shares, key=lambda pair: pair[0] - pair[1])
    step, late = ratio(chains, _WATCHED, _ALONE, "step"), ratio(answers, _WATCHED, _ALONE, "p99")
    seen = (
        Seen(f"{100 * (watched - alone):.1f} % of a core", f"without readers {100 * alone:.1f} %", "",
             watched - alone <= 0.1, load),
        Seen(f"{milliseconds(of(chains, _WATCHED, 'step').middle)} a step",
             f"without readers {milliseconds(of(chains, _ALONE, 'step').middle)}", times(step), step.middle <= 1.1, load),
        Seen(milliseconds(of(answers, _WATCHED, "p99").middle),
             f"without readers {milliseconds(of(answers, _ALONE, 'p99').middle)}", times(late), late.middle <= 1.1, load),
    )  # fmt: skip
    rows = tuple(
        (name, milliseconds(of(chains, name, "step").middle), _share(chains, name), milliseconds(of(answers, name, "p50").middle),
         milliseconds(of(answers, name, "p99").middle), _share(answers, name))
        for name in chains
    )  # fmt: skip
    columns = (
        "Side",
        "A step of the chain",
        "Platform meanwhile",
        "Request p50",
        "Request p99",
        "Platform meanwhile",
    )
    return Told(seen, (Table(columns, rows),), (
        f"The chain has {figures['steps']:,} steps, one after the other. The endpoint answers requests over one connection for "
        f"{figures['seconds']} s, beside a run of ten steps a second.",
        "The readers are connections of one process on the same machine. What reading costs them is in the figures of run and "
        "endpoint as well.",
    ))  # fmt: skip


def _share(samples: Samples, name: str) -> str:
    return f"{100 * of(samples, name, 'core').middle:.1f} % of a core"


SUBJECT = Subject(
    name="pages_readers",
    title="Readers of a live run",
    says="200 connections get every change of the page of a live run as events: what that costs the platform, and whether the "
    "run and an endpoint of the same platform become slower.",
    goals=(
        Goal("200 readers of a live run, CPU of the platform for them", "≤ 10 % of a core"),
        Goal("a step of a chain with 200 readers", "as without (≤ 1.1×)"),
        Goal("99th percentile of an endpoint beside a live run with 200 readers", "as without (≤ 1.1×)"),
    ),
    measure=measure,
    tell=tell,
)
