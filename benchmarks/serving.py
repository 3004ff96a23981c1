"""The model server against its yardstick and its peers, in turns within one run: `python -m benchmarks.serving`.

One core for the server, the other for the load. The yardstick is a bare uvicorn + msgspec + ONNX Runtime handler. Requests a
second and times depend on what else the machine does, so each figure stands beside the yardstick's of the same round, and
the CPU time of a request, which depends on it least, is written too.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.serving_servers import BARE, FAIRWAY, HERE, SERVER_CORE, Kind, Running, resident, spent_by

REQUIREMENTS = HERE / "requirements"
ENVIRONMENTS = HERE / ".environments"
RESULTS = HERE / "results"
PEERS = {"FastAPI by hand": "fastapi", "MLServer": "mlserver", "KServe's server": "kserve"}
ROUNDS, SECONDS, IDLE_SECONDS = 3, 0.6, 3.0

Figures = dict[str, dict[str, float]]


def peers() -> tuple[list[Kind], dict[str, str]]:
    """The peers, each in a virtual environment of its own from its lock, and why those that are missing are missing."""
    found: list[Kind] = []
    missing: dict[str, str] = {}
    for name, short in PEERS.items():
        place = ENVIRONMENTS / f"serving-{short}"
        lock = REQUIREMENTS / f"serving-{short}.txt"
        python = str(place / "bin" / "python")
        made = place / "made"
        if not made.exists() or made.read_bytes() != lock.read_bytes():
            uv = str(Path(sys.executable).parent / "uv")
            for command in (
                [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)],
                [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(lock)],
            ):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    missing[name] = " ".join(done.stderr.split())[-300:]
                    break
            else:
                made.write_bytes(lock.read_bytes())
        if name not in missing:
            found.append(Kind(name, python, f"serving_{short}.py"))
    return found, missing


def side_by_side(
    kinds: list[Kind], model: str, folder: Path, connections: int, encoding: str = "json"
) -> Figures:
    """All kinds answer the same load in turns; medians, and medians of the ratios to the first kind of each round."""
    seen: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        running = [stack.enter_context(Running(kind, model, folder)) for kind in kinds]
        for server in running:
            server.first_answer()
        for turn in range(ROUNDS):
            for server in running[turn % len(running) :] + running[: turn % len(running)]:
                got = server.load(connections, SECONDS, encoding)
                if got is None:
                    print(f"{server.kind.name} gave no answer to {encoding}", file=sys.stderr, flush=True)
                else:
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


def batching(folder: Path) -> dict[str, float]:
    """What batching costs one client, and how near 32 clients come to the limit of batches of 32 rows."""
    off = Kind("fairway, batches of 1", batch=1)
    limit = [sys.executable, str(HERE / "serving_limit.py"), str(folder / "network.onnx"), "32"]
    costs: list[float] = []
    reached: list[float] = []
    by_cpu: list[float] = []
    with Running(FAIRWAY, "network", folder) as on, Running(off, "network", folder) as without:
        on.first_answer()
        without.first_answer()
        for turn in range(ROUNDS):
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


def starts(kinds: list[Kind], folder: Path) -> Figures:
    """Seconds from start to the first answer, and resident MB after it and after a short load, in turns."""
    seen: dict[str, list[dict[str, float]]] = {}
    for _ in range(ROUNDS):
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


def run(progress: Callable[[str], None], result: dict[str, Any]) -> None:
    """Everything, as plain values, into `result` as it is found."""
    others, missing = peers()
    everyone = [BARE, FAIRWAY, *others]
    result["missing"] = missing
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([sys.executable, str(HERE / "serving_models.py"), made], check=True)
        for model in ("small", "trees", "network"):
            for connections in (32, 1):
                kinds = everyone
                if model == "network":
                    kinds = [*everyone, Kind("fairway, batches of 1", batch=1)]
                    kinds += [
                        Kind(f"{kind.name}, batching", kind.python, kind.script, env={"BATCHES": "1"})
                        for kind in others
                        if kind.name == "MLServer"
                    ]
                name = f"{model}, {connections} client{'s' if connections > 1 else ''}, json"
                progress(name)
                result[name] = side_by_side(kinds, model, folder, connections)
        progress("small, 32 clients, binary")
        result["small, 32 clients, binary"] = side_by_side([FAIRWAY, *others], "small", folder, 32, "binary")
        progress("batching")
        result["batching"] = batching(folder)
        progress("starts")
        result["start"] = starts(everyone, folder)
        progress("platform")
        result["platform"] = control(folder)
        progress("stages of a request")
        stages = subprocess.check_output([sys.executable, str(HERE / "serving_stages.py"), made])
        result["stages_us"] = json.loads(stages)


def main() -> int:
    """Measure and write `results/serving.json`."""
    begun = time.time()
    result: dict[str, Any] = {}
    about: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": os.getloadavg()[0],
        "rounds": ROUNDS,
    }
    try:
        run(lambda text: print(text, file=sys.stderr, flush=True), result)
    finally:
        about["seconds"] = time.time() - begun
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps({"about": about, **result}, indent=2) + "\n"
        (RESULTS / "serving.json").write_text(text, "utf-8")
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
