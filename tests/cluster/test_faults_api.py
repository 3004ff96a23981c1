"""Runs on a real cluster whose API server is away from the control plane, or answers it badly, while they work."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from installation import SMALL, Installation, told_once
from plane_here import plane_here, push_image

from lab.faults import FaultProxy, Faults
from lab.kubectl import Kubectl

PROJECT = """
import time
import fairway as fw


@fw.task(cpu=0.1)
def small(value: int) -> int:
    return value + 1


@fw.task(cpu=0.1, memory="512Mi")
def own(value: int, seconds: float) -> int:
    print("at work", flush=True)
    time.sleep(seconds)
    return value * 2


@fw.pipeline
def main(seconds: float = 1.0) -> int:
    return small(own(own(small(1), seconds), 0.0))
"""
RIGHT = ("Succeeded", "9")


def about_jobs_and_pods(method: str, path: str) -> bool:
    """Choose the calls that runs are made of, and not the one with which a control plane starts."""
    return "/jobs" in path or "/pods" in path or "/events" in path or "selfsubjectreviews" in path


Play = Callable[[Callable[[Installation], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(kubectl: Kubectl, registry: str, namespace: str, fault_proxy: FaultProxy, tmp_path: Path) -> Play:
    """Runs work with a control plane that reaches its API server through the proxy alone."""
    shown = kubectl.json("config", "view", "--raw", "--flatten", "--minify")
    through = fault_proxy.kubeconfig(tmp_path / "proxied.json", shown)
    image = push_image(registry)

    async def whole(work: Callable[[Installation], Coroutine[Any, Any, None]]) -> None:
        inside = kubectl.inside(namespace)
        async with plane_here(inside, tmp_path, image, SMALL, through) as plane:
            installation = await asyncio.to_thread(Installation, plane.kubectl)
            await asyncio.to_thread(installation.insist, "GET", "/readyz")
            await work(installation)

    return lambda work: asyncio.run(asyncio.wait_for(whole(work), 560))


async def judge(installation: Installation, run: str) -> None:
    """Check that a run ended right and that nothing of it was repeated."""
    news = await asyncio.to_thread(installation.follow, run, 500)
    ended = news[-1]["ended"]
    assert (ended["phase"], (ended["result"] or {}).get("note")) == RIGHT, ended
    told_once(news)
    steps = (await asyncio.to_thread(installation.run, run))["steps"]
    assert {step["spec"]["name"]: len(step["attempts"]) for step in steps} == {
        "small": 1, "own": 1, "own-2": 1, "small-2": 1,
    }  # fmt: skip


def test_a_run_goes_on_while_its_control_plane_is_cut_off_from_the_api_server(
    play: Play, fault_proxy: FaultProxy, full: bool, measured: Callable[..., None]
) -> None:
    seconds = 60.0 if full else 12.0

    async def work(installation: Installation) -> None:
        bundle = await asyncio.to_thread(installation.send, PROJECT)
        run = await asyncio.to_thread(installation.submit, bundle, seconds=seconds / 2)
        await asyncio.to_thread(installation.until_output, run, "at work")
        # Its pod ends its work meanwhile, and the pod of the next step cannot be made.
        fault_proxy.cut()
        await asyncio.sleep(seconds)
        fault_proxy.mend()
        await judge(installation, run)
        await asyncio.to_thread(installation.nothing_is_left, 120)

    play(work)
    measured(
        "C4-away",
        "The API server cut off from the control plane while a step ends and the next one needs a pod",
        goal="the run ends right, nothing is repeated, no object is left",
        seconds_away=seconds,
        runs=1,
        steps_repeated=0,
    )


BAD: dict[str, Callable[[Faults], None]] = {
    "429": lambda faults: faults.answer(429, 0.3, about_jobs_and_pods),
    "500": lambda faults: faults.answer(500, 0.3, about_jobs_and_pods),
    "lost": lambda faults: faults.lose(0.3, about_jobs_and_pods),
    "nothing": lambda faults: faults.silence(0.3, about_jobs_and_pods),
}


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=pytest.mark.thorough) for how in ("500", "429", "lost", "nothing")]
)
def test_runs_end_right_though_a_third_of_the_calls_fails(
    play: Play, fault_proxy: FaultProxy, how: str, measured: Callable[..., None]
) -> None:
    # Silence lasts for half a minute each time, until the caller gives up.
    turns, at_once = 2 if how == "nothing" else 4, 3

    async def work(installation: Installation) -> None:
        bundle = await asyncio.to_thread(installation.send, PROJECT)
        BAD[how](fault_proxy.faults)
        for _ in range(turns):
            # What is watched has to be asked for again too, or one answer would do for all runs.
            fault_proxy.hang_up()
            runs = [await asyncio.to_thread(installation.submit, bundle) for _ in range(at_once)]
            for run in runs:
                await judge(installation, run)
        await asyncio.to_thread(installation.nothing_is_left, 120)

    play(work)
    chosen = [call for call in fault_proxy.faults.calls if about_jobs_and_pods(call.method, call.path)]
    failed = sum(bool(call.fault) for call in chosen)
    assert failed >= len(chosen) / 10
    measured(
        f"C4-{how}",
        f"An API server that answers 30 % of the control plane's calls with {how}"
        if how.isdigit()
        else f"An API server of whose answers to the control plane 30 % are {how}"
        if how == "lost"
        else "An API server that does not answer 30 % of the control plane's calls",
        goal="the run ends right, nothing is repeated, no object is left",
        runs=turns * at_once,
        calls=len(chosen),
        failed=failed,
        steps_repeated=0,
    )
