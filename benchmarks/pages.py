"""The pages in a real browser, over ten runs and over a million, beside the pages of MLflow and Prefect."""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import counting
from benchmarks.measuring import Sample, Samples, Spread, alternate, clean, milliseconds, of
from benchmarks.pages_browser import Window, browsing, family, memory
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_PATIENCE = 300.0
_FILLING = 60
"""The seconds in which the store of a peer is filled with as many runs as it takes."""

_ASKED = 40
_BARE = "a bare page"
"""A page with nothing but a heading, out of a file: what the browser itself takes."""

_AND = " and "
_PAGES = {
    "home": ("/", "main h1"),
    "runs": ("/runs", "tbody tr:nth-child(10) a"),
    "runs by a metric": ("/runs?sort=-auc", "tbody tr:nth-child(10) a"),
    "runs by time taken": ("/runs?sort=-took", "tbody tr:nth-child(10) a"),
    "runs of a pipeline": ("/runs?pipeline=prices&where=auc%3E0.5", "tbody tr a"),
}
"""Address and the element that people come for."""

_SEARCHED = {"runs with a text that none has": ("/runs?text=nowhere", "main h1")}
"""A search that looks at every run of the store. It is no page that has to be there after 50 ms."""

_SEARCHES = ("runs by a metric", "runs by time taken", "runs of a pipeline", "runs with a text that none has")
"""The pages that sort or filter all runs."""

_LARGE = {
    "a run of many steps": ("/runs/wide", "table.steps tbody tr a"),
    "a step": ("/runs/wide/steps/score-7", "main h1"),
    "a run of many metrics": ("/runs/keys", "main h1"),
    "a curve": ("/runs/points", "figure svg"),
    "ten runs compared": (
        "/compare?" + "&".join(f"run=n{number:07}" for number in range(10)),
        "table.compared tbody",
    ),
}


@dataclass
class Side:
    """A server with pages.

    Attributes:
        url: its address.
        headers: what lets a person in.
        processes: its processes.
    """

    url: str
    headers: dict[str, str]
    processes: Callable[[], list[int]]


@dataclass
class Peer:
    """The pages of another project over the same runs.

    Attributes:
        listed: the address of its list of runs.
        seen: the name of a run on the list.
        one: the address of its page of the newest run.
        runs: the number of runs that its store took in the time for that.
    """

    side: Side
    listed: str
    seen: str
    one: str
    runs: int


def measure(bench: Bench) -> Figures:
    """Fill the stores, start the servers, and open their pages in turns, each cold and warm."""
    many = bench.size(1_000_000, 2_000)
    figures: Figures = {"many": many, "peers": {}}
    with _served(bench, 10) as few, _served(bench, many) as lots, _mlflow(bench, many) as mlflow, \
            _prefect(bench, many) as prefect, _bare(bench) as bare, browsing() as browser:  # fmt: skip
        peers = {name: peer for name, peer in (("MLflow", mlflow), ("Prefect", prefect)) if peer is not None}
        peers = {name: peer for name, peer in peers.items() if _opens(bench, browser, name, peer)}
        figures["peers"] = {name: peer.runs for name, peer in peers.items()}
        figures["idle_mb"] = {"10": memory(few.processes()), str(many): memory(lots.processes())}
        sides = _sides(browser, few, lots, many, peers)
        sides[_BARE] = partial(_twice, browser, bare, ("/", "h1"))
        figures["opened"] = alternate(sides, bench.size(3, 1))
        figures["first_byte"] = {
            name: _first_bytes(lots, path) for name, (path, _) in (_PAGES | _LARGE).items()
        }
        figures["used_mb"] = {"10": memory(few.processes()), str(many): memory(lots.processes())}
        figures["used_mb"] |= {name: memory(peer.side.processes()) for name, peer in peers.items()}
    return figures


def _sides(
    browser: Any, few: Side, lots: Side, many: int, peers: dict[str, Peer]
) -> dict[str, Callable[[], Sample]]:
    sides: dict[str, Callable[[], Sample]] = {}
    for name, page in (_PAGES | _LARGE | _SEARCHED).items():
        sides[f"{name}, {many} runs"] = partial(_twice, browser, lots, page)
    for name, page in _PAGES.items():
        sides[f"{name}, 10 runs"] = partial(_twice, browser, few, page)
    newest = f"n{many - 1:07}"
    sides[f"one run, {many} runs"] = partial(_twice, browser, lots, (f"/runs/{newest}", "main h1"))
    for name, peer in peers.items():
        listed, one = _pages_of(peer)
        sides[f"{name}, runs"] = partial(_twice, browser, peer.side, listed)
        sides[f"{name}, one run"] = partial(_twice, browser, peer.side, one)
    return sides


def _opens(bench: Bench, browser: Any, name: str, peer: Peer) -> bool:
    """Tell whether the pages of a peer show what is looked for. A new version of it may look different."""
    for page in _pages_of(peer):
        try:
            _twice(browser, peer.side, page)
        except Exception as error:
            bench.missing[name] = f"{page[0]} did not show {page[1]}: {type(error).__name__}"
            bench.say(bench.missing[name])
            return False
    return True


def _pages_of(peer: Peer) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return address and element of the list of runs, and of the newest run."""
    return (peer.listed, peer.seen), (peer.one, f"text=/n{peer.runs - 1:07}/")


def _twice(browser: Any, side: Side, page: tuple[str, str]) -> Sample:
    """Open a page with an empty cache, then again."""
    window = Window(browser, side.headers)
    try:
        cold = window.open(side.url + page[0], page[1], side.processes())
        warm = window.open(side.url + page[0], page[1], side.processes())
    finally:
        window.close()
    return cold | {
        "warm": warm["wall"],
        "server_cpu": warm["server_cpu"],
        "shift": max(cold["shift"], warm["shift"]),
    }


def _first_bytes(side: Side, path: str) -> float:
    """Return the 95th percentile of the seconds until the first byte, over one connection."""
    connection = http.client.HTTPConnection(side.url.removeprefix("http://"), timeout=_PATIENCE)
    seen: list[float] = []
    for _ in range(_ASKED):
        begun = time.perf_counter()
        connection.request("GET", path, headers=side.headers)
        answer = connection.getresponse()
        seen.append(time.perf_counter() - begun)
        answer.read()
    return statistics.quantiles(seen, n=20)[-1]


@contextmanager
def _served(bench: Bench, runs: int) -> Iterator[Side]:
    """A platform over a store of so many runs. A large store is made once and kept beside the environments of the peers."""
    keep = runs > 100_000
    folder = bench.environments.folder / f"pages-{runs}" if keep else counting.fresh(bench.folder)
    environment = {**clean(), "HOME": str(folder / "home"), "CI": "1"}
    store, done = folder / ".fairway", folder / "filled"
    if not done.exists():
        bench.say(f"recording {runs} runs")
        (folder / "home").mkdir(parents=True, exist_ok=True)
        more = ["--steps", str(bench.size(10_000, 200)), "--keys", str(bench.size(10_000, 200)),
                "--points", str(bench.size(10_000, 200))]  # fmt: skip
        words = [sys.executable, counting.PROJECTS / "filling.py", store, "--runs", runs, *more]
        subprocess.run([str(word) for word in words], env=environment, check=True)
        done.touch()
    fairway = partial(subprocess.run, cwd=folder, env=environment, check=True, capture_output=True)
    fairway([counting.FAIRWAY, "up"])
    try:
        record = json.loads((store / "platform" / "platform.json").read_bytes())
        token = (store / "platform" / "token").read_text("utf-8").strip()
        headers = {"authorization": f"Bearer {token}"}
        yield Side(f"http://127.0.0.1:{record['port']}", headers, lambda: family(record["pid"]))
    finally:
        fairway([counting.FAIRWAY, "down"])


@contextmanager
def _mlflow(bench: Bench, many: int) -> Iterator[Peer | None]:
    python = bench.peer("MLflow")
    if python is None:
        yield None
        return
    folder, port = counting.fresh(bench.folder), _free_port()
    bench.say("recording runs with MLflow")
    filling = [python, counting.PROJECTS / "filling_mlflow.py", folder / "mlflow.db", many, _FILLING]
    filled = _filled(filling, folder, {})
    words = [
        python, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--port", port,
        "--workers", "1",
    ]  # fmt: skip
    with _running(words, folder, {}, f"http://127.0.0.1:{port}/health") as side:
        yield Peer(side, filled["list"], "text=/^n\\d{7}$/", filled["page"], filled["runs"])


@contextmanager
def _prefect(bench: Bench, many: int) -> Iterator[Peer | None]:
    python = bench.peer("Prefect")
    if python is None:
        yield None
        return
    folder, port = counting.fresh(bench.folder), _free_port()
    environment = {
        "PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(_PATIENCE)),
    }  # fmt: skip
    bench.say("recording runs with Prefect")
    filling = [python, counting.PROJECTS / "filling_prefect.py", many, _FILLING]
    filled = _filled(filling, folder, environment | {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true"})
    words = [python, "-m", "prefect", "server", "start", "--port", port]
    environment["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    with _running(words, folder, environment, f"http://127.0.0.1:{port}/api/health") as side:
        yield Peer(side, filled["list"], "text=/n\\d{7}/", filled["page"], filled["runs"])


@contextmanager
def _bare(bench: Bench) -> Iterator[Side]:
    folder, port = counting.fresh(bench.folder), _free_port()
    (folder / "index.html").write_text("<!doctype html><title>bare</title><h1>bare</h1>", "utf-8")
    words = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"]
    with _running(words, folder, {}, f"http://127.0.0.1:{port}/") as side:
        yield side


def _filled(words: list[Any], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Fill the store of a peer, and return what the program told about it on its last line of output."""
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env={**clean(), **environment}, timeout=2 * _PATIENCE + _FILLING,
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextmanager
def _running(words: list[Any], folder: Path, environment: dict[str, str], ready: str) -> Iterator[Side]:
    """A server of a peer, from the time when it answers."""
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [str(word) for word in words], cwd=folder, stdout=log, stderr=subprocess.STDOUT,
            env={**clean(), **environment}, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(ready, process)
            yield Side(
                f"http://127.0.0.1:{ready.split(':')[2].split('/')[0]}", {}, lambda: family(process.pid)
            )
        finally:
            os.killpg(process.pid, 9)
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tell(figures: Figures) -> Told:
    """The worst page of a million runs decides each goal."""
    opened: Samples = figures["opened"]
    own = [name for name in opened if name.endswith((", 10 runs", f", {figures['many']} runs"))]
    lots = [name for name in own if name.endswith(f", {figures['many']} runs")]
    quick = [name for name in lots if name.partition(",")[0] not in _SEARCHES]
    peers = [name for name in ("MLflow, runs", "Prefect, runs") if name in opened]

    def beside(key: str, shown: Callable[[float], str]) -> str:
        return ", ".join(f"{name.split(',')[0]} {shown(of(opened, name, key).middle)}" for name in peers)

    def worst(key: str, names: list[str] = own) -> tuple[str, Spread]:
        return max(((name, of(opened, name, key)) for name in names), key=lambda pair: pair[1].middle)

    def row(
        key: str, goal: float, shown: Callable[[float], str], names: list[str] = own, cause: str = ""
    ) -> Seen:
        name, seen = worst(key, names)
        return Seen(
            f"{shown(seen.middle)} ({name.partition(',')[0]})",
            beside(key, shown),
            "",
            seen.middle <= goal,
            cause,
        )

    late = max(figures["first_byte"].items(), key=lambda pair: pair[1])
    more = figures["used_mb"][str(figures["many"])] - figures["idle_mb"][str(figures["many"])]
    sort = [f"{name}, {figures['many']} runs" for name in _SEARCHES]
    paged = [name for name in own if name.partition(",")[0] not in _SEARCHED]
    bare = of(opened, _BARE)
    slow = (
        f"On this machine a page with nothing but a heading is seen after {milliseconds(bare.middle)}, and takes "
        f"{milliseconds(of(opened, _BARE, 'browser_cpu').middle)} of CPU of the browser."
    )
    seen = (
        row("wall", 0.5, milliseconds, quick, slow), row("warm", 0.3, milliseconds, quick, slow),
        Seen(f"{milliseconds(late[1])} ({late[0]})", "", "", late[1] <= 0.05),
        row("wall", 0.6, milliseconds, sort, "A text that none has is looked for in every run."),
        row("requests", 5, _whole), row("kb", 75, _kilobytes), row("script_kb", 45, _kilobytes),
        row("browser_cpu", 0.4, milliseconds, own, slow), row("server_cpu", 0.03, milliseconds, paged),
        row("shift", 0, lambda value: f"{value:.3f}"),
        Seen(f"{more:.0f} MB more after all pages", ", ".join(f"{name} {figures['used_mb'][name]:.0f} MB in all"
             for name in ("MLflow", "Prefect") if name in figures["used_mb"]), "", more <= 15),
    )  # fmt: skip
    return Told(seen, (_table(opened),), (
        f"The large store holds {figures['many']:,} runs.",
        f"{_AND.join(f'{name} holds {count:,} runs' for name, count in figures['peers'].items())} with the same "
        f"parameters, and metrics where it knows them: as many as its store takes in {_FILLING} s, the first recorded by its "
        "client and the others copied in its database. A page counts as seen when the element that a person comes for is "
        "visible.",
        "CPU of the server is that of a page that was opened before. Sorts and filters over all runs have a goal of their own. A "
        "search for a text that no run has looks at every run, and counts among them. Memory is the proportional set size of "
        "all processes.",
    ))  # fmt: skip


def _whole(value: float) -> str:
    return f"{value:.0f}"


def _kilobytes(value: float) -> str:
    return f"{value:,.0f} KB"


def _table(opened: Samples) -> Table:
    columns = (
        "Page",
        "Cold",
        "Warm",
        "Requests",
        "On the line",
        "Script",
        "CPU of the browser",
        "CPU of the server",
        "Heap",
    )
    rows = tuple(
        (name, milliseconds(of(opened, name).middle), milliseconds(of(opened, name, "warm").middle),
         _whole(of(opened, name, "requests").middle), _kilobytes(of(opened, name, "kb").middle),
         _kilobytes(of(opened, name, "script_kb").middle), milliseconds(of(opened, name, "browser_cpu").middle),
         milliseconds(of(opened, name, "server_cpu").middle), f"{of(opened, name, 'heap_mb').middle:.1f} MB")
        for name in opened
    )  # fmt: skip
    return Table(columns, rows)


SUBJECT = Subject(
    name="pages",
    title="The pages in a browser",
    says="Pages opened in Chromium over a store of 10 runs and over a large one, which also has a run of 10,000 steps, one of "
    "10,000 metrics and one of 10,000 points, beside the lists of runs of MLflow and Prefect. The slowest or heaviest page "
    "stands for all. A page with nothing but a heading shows what the browser itself takes.",
    goals=(
        Goal("a page over the large store is seen, nothing cached", "≤ 0.5 s"),
        Goal("a page is seen again", "≤ 0.3 s"),
        Goal("first byte of a page, 95th percentile", "≤ 50 ms"),
        Goal("a sort or filter over all runs of the large store is seen", "≤ 0.6 s"),
        Goal("requests of a page", "≤ 5"),
        Goal("a page on the line", "≤ 75 KB"),
        Goal("script of a page, unpacked", "≤ 45 KB"),
        Goal("CPU of the browser for a page", "≤ 0.4 s"),
        Goal("CPU of the server for a page", "≤ 30 ms"),
        Goal("layout shift", "0"),
        Goal("memory of the platform for its pages", "≤ 15 MB"),
    ),
    measure=measure,
    tell=tell,
)
