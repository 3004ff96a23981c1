"""A run in a real kernel of Jupyter: progress that folds when it is over, and an interrupt that cancels the run."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from projects import Project, wait_for

manager = pytest.importorskip("jupyter_client.manager", reason="Jupyter's client is not installed")

CELL = """
import time, os
import fairway as fw

@fw.task
def work(n: int) -> int:
    print("working on", n)
    fw.log(loss=1 / n)
    return n

@fw.task
def hold() -> int:
    open("holding", "w").close()
    time.sleep(100)
    return 1

@fw.pipeline
def few(count: int = 3) -> int:
    return sum(work.map(range(1, count + 1)))

@fw.pipeline
def long():
    hold()
"""


@pytest.fixture
def kernel(project: Project) -> Iterator[Any]:
    """A kernel with the cell above, and its client."""
    pytest.importorskip("ipykernel")
    (project.folder / "pyproject.toml").write_text("")
    kernel, client = manager.start_new_kernel(cwd=str(project.folder), env=project.environment)
    client.kernel = kernel
    assert outputs(client, client.execute(CELL)) == []
    yield client
    client.stop_channels()
    kernel.shutdown_kernel(now=True)


def outputs(client: Any, asked: str, seconds: float = 120.0) -> list[dict[str, Any]]:
    """What a cell shows, until it is done."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        message = client.get_iopub_msg(timeout=seconds)
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] == "idle":
            return found
        if kind in ("display_data", "update_display_data", "execute_result", "error", "stream"):
            found.append({"kind": kind, **content})
    raise AssertionError("the cell did not end")


def test_progress_is_drawn_in_one_place_and_folds_when_the_run_is_over(kernel: Any) -> None:
    shown = outputs(kernel, kernel.execute("run = fw.run(few, count=4)\nprint(run.result)"))
    assert [one["kind"] for one in shown if one["kind"] == "display_data"] == ["display_data"]
    updates = [one for one in shown if one["kind"] == "update_display_data"]
    places = {one["transient"]["display_id"] for one in shown if one.get("transient")}
    assert len(places) == 1
    last = updates[-1]["data"]
    assert "succeeded" in last["text/plain"]
    assert last["text/html"].startswith("<details><summary>run ")
    assert "work  4 done" in last["text/html"]
    assert "working on" in last["text/html"]
    assert [one["text"].strip() for one in shown if one["kind"] == "stream"] == ["10"]


def test_an_interrupt_cancels_the_run_and_leaves_nothing_behind(kernel: Any, project: Project) -> None:
    asked = kernel.execute("fw.run(long)")
    assert wait_for(lambda: (project.folder / "holding").exists())
    begun = time.monotonic()
    kernel.kernel.interrupt_kernel()
    shown = outputs(kernel, asked)
    assert time.monotonic() - begun < 60
    (error,) = [one for one in shown if one["kind"] == "error"]
    assert error["ename"] == "Interrupted"
    assert "was cancelled" in error["evalue"]
    assert "cancelled" in project.fairway("runs").stdout
    assert outputs(kernel, kernel.execute("print(fw.run(few).result)"))[-1]["text"].strip() == "6"


def test_output_of_steps_is_text_and_never_markup() -> None:
    from fairway.engine.live import LiveRun
    from fairway.spec.update import Printed

    drawn: list[dict[str, str]] = []
    live = LiveRun("k7m2", drawn.append)
    live.take(Printed("work", 1, os.fsencode("<script>alert(1)</script>\n")))
    assert "<script>" not in drawn[-1]["text/html"]
    assert "&lt;script&gt;" in drawn[-1]["text/html"]
