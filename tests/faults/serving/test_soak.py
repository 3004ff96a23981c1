"""T23: under load for a long time, memory and descriptors stay as they were after the warm-up; runs go on beside it."""

import subprocess
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from arena import ONE, Arena, Load, descriptors, resident, wait_for

RATE = 300
LEAKS = """
import fairway as fw

kept: list[bytes] = []

@fw.endpoint(replicas=1)
def leaky(x: float) -> float:
    kept.append(b"x" * 50_000)
    return x
"""
TICK = """
import fairway as fw

@fw.task
def tick(i: int) -> int:
    return i

@fw.pipeline
def ticks() -> int:
    return sum(tick(i) for i in range(5))
"""
HOUR = 3600.0


def slope(points: list[tuple[float, float]]) -> float:
    """Growth per second, by least squares."""
    middle = sum(at for at, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at - middle) ** 2 for at, _ in points)
    return sum((at - middle) * (value - mean) for at, value in points) / spread


def soak(
    arena: Arena, port: int, seconds: float, body: bytes, runs: int = 0
) -> tuple[float, list[int], Load]:
    """Memory's growth in bytes an hour of the worst worker after a third of the time, and its descriptors.

    So many runs are started meanwhile, at even distances.
    """
    project = arena.file("ticks.py", TICK)
    started: list[subprocess.Popen[bytes]] = []
    watched = [*arena.workers(), *arena.platform()]
    memory: dict[int, list[tuple[float, float]]] = {pid: [] for pid in watched}
    files: list[int] = []
    with Load(port, RATE, clients=16, body=body) as load:
        # What is loaded with the first requests is not growth, however long the machine takes for them.
        assert wait_for(lambda: load.answered >= RATE)
        begun = time.monotonic()
        while (now := time.monotonic() - begun) < seconds:
            if now > seconds / 3:
                for pid in watched:
                    memory[pid].append((now, float(resident(pid))))
                files.append(sum(descriptors(pid) for pid in watched))
            if len(started) < runs * now / seconds:
                started.append(arena.start("run", project, "--quiet"))
            time.sleep(max(0.05, seconds / 600))
    assert [one.wait(240) for one in started] == [0] * runs
    return max(slope(points) for points in memory.values()) * HOUR, files, load


def test_memory_and_descriptors_are_flat_under_load(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    minutes = float(request.config.getoption("--soak"))
    seconds, runs = (60 * minutes, 200) if full else (5.0, 3)
    made = arena()
    made.up()
    port = made.deploy("churn:1").status.port
    growth, files, load = soak(made, port, seconds, b"[[1.0, 2.0, 3.0, 4.0]]", runs)
    assert load.lost == []
    assert growth <= (2**20 if full else 2**30), f"{growth / 2**20:.2f} MiB an hour"
    assert max(files) - min(files) <= 4
    measured(
        "T23", f"{minutes:g} minutes of load at {RATE} requests a second, and {runs} runs meanwhile",
        goal="≤ 1 MB an hour, descriptors flat",
        minutes=minutes, requests=load.answered, lost=len(load.lost), growth_mib_an_hour=round(growth / 2**20, 3),
        descriptors_least=min(files), descriptors_most=max(files),
    )  # fmt: skip


def test_the_harness_sees_a_leak(arena: Callable[..., Arena]) -> None:
    made = arena()
    made.up()
    made.fairway("deploy", made.file("leaky.py", LEAKS))
    growth, _, _ = soak(made, made.status("leaky").port, 5.0, ONE)
    assert growth > 2**30


def test_a_slope_is_the_growth_between_points() -> None:
    points = [(float(at), 7.0 * at + 3) for at in range(10)]
    assert all(later > earlier for (_, earlier), (_, later) in pairwise(points))
    assert slope(points) == pytest.approx(7.0)
