"""The model server against its yardstick and its peers, in turns within one run.

One core for the server, the other for the load. The yardstick is a bare uvicorn + msgspec + ONNX Runtime handler. Requests a
second and times depend on what else the machine does, so each figure stands beside the yardstick's of the same round, and
the CPU time of a request, which depends on it least, is written too.
"""

import json
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.serving_servers import BARE, FAIRWAY, HERE, SERVER_CORE, Kind, Running, resident, spent_by
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

PEERS = {"FastAPI": "fastapi", "MLServer": "mlserver", "KServe": "kserve"}
BINARY = ("bare handler", "Fairway", "KServe")
"""Those that speak the protocol's binary extension over HTTP."""

SINGLE = Kind("Fairway, batches of 1", batch=1)
ROUNDS, SECONDS, IDLE_SECONDS = 5, 1.0, 3.0

Side = dict[str, dict[str, float]]


def measure(bench: Bench) -> Figures:
    """Every load on every server."""
    rounds = bench.size(ROUNDS, 1)
    pythons = {name: bench.peer(name, f"serving-{short}") for name, short in PEERS.items()}
    others = [
        Kind(name, str(python), f"serving_{PEERS[name]}.py") for name, python in pythons.items() if python
    ]
    everyone = [BARE, FAIRWAY, *others]
    batched = [
        Kind(f"{one.name}, batching", one.python, one.script, env={"BATCHES": "1"})
        for one in others
        if one.name == "MLServer"
    ]
    subprocess.run([sys.executable, str(HERE / "serving_models.py"), str(bench.folder)], check=True)
    figures: Figures = {}
    for model in ("small", "trees", "network"):
        kinds = [*everyone, SINGLE, *batched] if model == "network" else everyone
        for connections in (32, 1):
            name = f"{model}, {connections} client{'s' if connections > 1 else ''}, JSON"
            bench.say(name)
            figures[name] = side_by_side(kinds, model, bench.folder, connections, rounds)
        name = f"{model}, 32 clients, binary"
        bench.say(name)
        kinds = [kind for kind in kinds if kind.name in BINARY]
        figures[name] = side_by_side(kinds, model, bench.folder, 32, rounds, "binary")
    bench.say("batching")
    figures["batching"] = batching(bench.folder, rounds)
    bench.say("starts")
    figures["start"] = starts(everyone, bench.folder, rounds)
    bench.say("platform")
    figures["platform"] = control(bench.folder)
    return figures


def side_by_side(
    kinds: list[Kind], model: str, folder: Path, connections: int, rounds: int, encoding: str = "json"
) -> Side:
    """All kinds answer the same load in turns; medians, and medians of the ratios to the first kind of each round."""
    seen: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        running = [stack.enter_context(Running(kind, model, folder)) for kind in kinds]
        for server in running:
            server.first_answer()
        for turn in range(rounds):
            for server in running[turn % len(running) :] + running[: turn % len(running)]:
                got = server.load(connections, SECONDS, encoding)
                if got is None:
                    raise SystemExit(f"{server.kind.name} gave no answer to {encoding}")
                seen.setdefault(server.kind.name, []).append(got)
    base = seen[kinds[0].name]
    return {name: _summary(got, base) for name, got in seen.items()}


def _summary(got: list[dict[str, float]], base: list[dict[str, float]]) -> dict[str, float]:
    told = {key: statistics.median(one[key] for one in got) for key in got[0] if key != "total"}
    pairs = list(zip(got, base, strict=False))
    told["bad"] = sum(one["bad"] for one in got)
    told["ratio"] = statistics.median(one["per_second"] / other["per_second"] for one, other in pairs)
    told["p50_ratio"] = statistics.median(one["p50_ms"] / other["p50_ms"] for one, other in pairs)
    told["cpu_ratio"] = statistics.median(other["cpu_us"] / one["cpu_us"] for one, other in pairs)
    return told


def batching(folder: Path, rounds: int) -> dict[str, float]:
    """What batching costs one client, and how near 32 clients come to the limit of batches of 32 rows."""
    limit = [sys.executable, str(HERE / "serving_limit.py"), str(folder / "network.onnx"), "32"]
    costs: list[float] = []
    reached: list[float] = []
    by_cpu: list[float] = []
    with Running(FAIRWAY, "network", folder) as on, Running(SINGLE, "network", folder) as without:
        on.first_answer()
        without.first_answer()
        for turn in range(rounds):
            pair = [on.load(1, SECONDS), without.load(1, SECONDS)] if turn % 2 else None
            if pair is None:
                pair = [without.load(1, SECONDS), on.load(1, SECONDS)][::-1]
            assert pair[0] is not None
            assert pair[1] is not None
            costs.append(pair[0]["p50_ms"] / pair[1]["p50_ms"] - 1)
            possible = json.loads(subprocess.check_output(["taskset", "-c", SERVER_CORE, *limit]))
            many = on.load(32, SECONDS)
            assert many is not None
            reached.append(many["per_second"] / possible["per_second"])
            by_cpu.append(possible["cpu_us"] / many["cpu_us"])
    middle = statistics.median
    return {"cost_at_1": middle(costs), "of_limit": middle(reached), "of_limit_by_cpu": middle(by_cpu)}


def starts(kinds: list[Kind], folder: Path, rounds: int) -> Side:
    """Seconds from start to the first answer, and resident MB after it and after a short load, in turns."""
    seen: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for kind in kinds:
            with Running(kind, "small", folder) as server:
                seconds, begun = server.first_answer(), server.memory()
                spent = server.cpu()
                server.load(32, 0.5)
                told = {"seconds": seconds, "cpu_s": spent, "mb": begun, "mb_loaded": server.memory()}
            seen.setdefault(kind.name, []).append(told)
    return {
        name: {key: statistics.median(one[key] for one in got) for key in got[0]}
        for name, got in seen.items()
    }


def control(folder: Path) -> dict[str, float]:
    """The platform process: seconds until it takes requests, resident MB, percent of a core when nothing happens."""
    told: list[tuple[float, float, float]] = []
    for turn in range(3):
        command = [
            sys.executable,
            "-m",
            "fairway.control",
            "--root",
            str(folder / f"platform-{turn}"),
            "--say",
        ]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            process.stdout.readline()
            took = time.perf_counter() - begun
            time.sleep(1)
            spent = spent_by(process.pid)
            time.sleep(IDLE_SECONDS)
            idle = (spent_by(process.pid) - spent) / IDLE_SECONDS
            told.append((took, resident(process.pid) / 1024, 100 * idle))
        finally:
            process.terminate()
            process.wait()
    took, mb, idle = (statistics.median(one[place] for one in told) for place in range(3))
    return {"seconds": took, "mb": mb, "idle_percent": idle}


def tell(figures: Figures) -> Told:
    """The rows of the goals, and a table for each kind of figure."""
    many, one = figures["small, 32 clients, JSON"], figures["small, 1 client, JSON"]
    shared, start, process = figures["batching"], figures["start"], figures["platform"]
    mine, alone, began = many["Fairway"], one["Fairway"], start["Fairway"]
    enough = shared["cost_at_1"] <= 0.05 and shared["of_limit"] >= 0.6
    small = began["seconds"] <= 0.8 and began["mb_loaded"] <= 80
    batched, bare = figures["network, 32 clients, JSON"]["Fairway"], start["bare handler"]
    model_us, http_us = batched["cpu_us"] * shared["of_limit_by_cpu"], many["bare handler"]["cpu_us"]
    most = model_us / (model_us + http_us)
    light = process["seconds"] <= 1 and process["mb"] <= 80 and process["idle_percent"] <= 0.5
    seen = (
        Seen(f"{mine['per_second']:,.0f}/s", _beside(many, "per_second", "{:,.0f}/s"),
             f"{100 * mine['ratio']:.0f} % of the bare handler", mine["ratio"] >= 0.6),
        Seen(f"{alone['p50_ms']:.2f} ms", _beside(one, "p50_ms", "{:.2f} ms"),
             f"{alone['p50_ratio']:.2f}× the bare handler", alone["p50_ms"] <= 0.25),
        Seen(f"{100 * shared['cost_at_1']:.1f} % and {100 * shared['of_limit']:.0f} %", "the model in batches of 32, called bare",
             f"{100 * shared['of_limit_by_cpu']:.0f} % by CPU", enough,
             f"A batched request takes {batched['cpu_us']:.0f} µs of CPU, {model_us:.0f} of them in the model; the rest is HTTP "
             f"and the JSON of 74 numbers, which the limit does without. The bare handler takes {http_us:.0f} µs for a request "
             f"to the small model, so that {100 * most:.0f} % would be about the most on this HTTP server."),
        Seen(f"{began['seconds']:.2f} s, {began['mb_loaded']:.0f} MB", _beside(start, "seconds", "{:.2f} s"), "", small,
             f"A bare handler with the same ONNX Runtime and uvicorn has {bare['mb_loaded']:.0f} MB; what is between them is the "
             "application with its limits, metrics and formats."),
        Seen(f"{process['seconds']:.2f} s, {process['mb']:.0f} MB, {process['idle_percent']:.2f} %", "", "", light),
    )  # fmt: skip
    loads = tuple(
        Table(
            ("Server", "Requests/s", "p50", "p99", "CPU a request", "Requests beside the first"),
            _rows(sides),
            name,
        )
        for name, sides in figures.items()
        if "client" in name
    )
    starting = tuple(
        (name, f"{got['seconds']:.2f} s", f"{got['mb']:.0f} MB", f"{got['mb_loaded']:.0f} MB")
        for name, got in start.items()
    )
    return Told(
        seen,
        (
            *loads,
            Table(("Server", "First answer after", "Memory then", "Memory after load"), starting, "Starting"),
        ),
        (
            "All checks, limits and metrics of the model server are on. FastAPI is a handler written by hand with ONNX "
            "Runtime. The bare handler sends head and body as ASGI does, in two writes; the model server in one.",
        ),
    )


def _beside(sides: Side, key: str, form: str) -> str:
    return ", ".join(f"{name} {form.format(got[key])}" for name, got in sides.items() if name != "Fairway")


def _rows(sides: Side) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (name, f"{got['per_second']:,.0f}", f"{got['p50_ms']:.2f} ms", f"{got['p99_ms']:.2f} ms",
         f"{got['cpu_us']:.0f} µs", f"{100 * got['ratio']:.0f} %")
        for name, got in sides.items()
    )  # fmt: skip


SUBJECT = Subject(
    name="serving",
    title="Serving",
    says="Servers on one core answer the same requests from the other: a small model, 1,000 trees, and a network of 17 MB.",
    goals=(
        Goal("a small ONNX model, one core, JSON, 32 clients", "≥ 60 % of a bare handler's requests"),
        Goal("one client, p50", "≤ 0.25 ms"),
        Goal("dynamic batching: cost at one client, share of the batch-32 limit", "≤ 5 % and ≥ 60 %"),
        Goal("model server: start to first answer, memory", "≤ 0.8 s, ≤ 80 MB"),
        Goal("platform process: start, memory, idle", "≤ 1 s, ≤ 80 MB, ≤ 0.5 % of a core"),
    ),
    measure=measure,
    tell=tell,
)
