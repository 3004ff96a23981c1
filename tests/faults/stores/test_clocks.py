"""Clocks that jump by a day, forwards and backwards: order holds, and nothing that is needed goes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from diary import event

from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata

DAY = 86_400.0
PROJECT = """
import time
from pathlib import Path
import fairway as fw

@fw.task
def wait() -> int:
    Path("waiting").touch()
    time.sleep(1000)
    return 1

@fw.pipeline
def main() -> int:
    return wait()
"""
JUMP = "import time\n_real = time.time\ntime.time = lambda: _real() + {seconds}\n"


def command(folder: Path, *words: str, ahead: float = 0.0) -> subprocess.Popen[str]:
    """The real command line, with a clock that is ahead by some seconds."""
    environment = dict(os.environ)
    if ahead:
        place = folder / f"clock{ahead:.0f}"
        place.mkdir(exist_ok=True)
        (place / "sitecustomize.py").write_text(JUMP.format(seconds=ahead))
        environment["PYTHONPATH"] = str(place)
    return subprocess.Popen(
        [sys.executable, "-m", "fairway", *words],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def said(folder: Path, *words: str, ahead: float = 0.0) -> str:
    child = command(folder, *words, ahead=ahead)
    output = child.communicate(timeout=240)[0]
    assert child.returncode == 0, output
    return output


def test_what_a_run_at_work_has_stored_survives_a_sweep_after_the_clock_went_forward(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    root = tmp_path / ".fairway"
    run = command(tmp_path, "run", "project.py")
    until = time.monotonic() + 120
    while not (tmp_path / "waiting").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    fresh = FileArtifacts(root).put_bytes(b"a result that is not on record yet")
    said(tmp_path, "gc", "--delete", ahead=2 * DAY)
    assert FileArtifacts(root).exists(fresh)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=240)
    said(tmp_path, "gc", "--delete", ahead=2 * DAY)
    assert not FileArtifacts(root).exists(fresh), "nothing refers to it, and nobody is at work"


def test_what_was_stored_before_the_clock_went_back_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    Layout(tmp_path / ".fairway").prepare()
    kept = FileArtifacts(tmp_path / ".fairway").put_bytes(b"stored before")
    said(tmp_path, "gc", "--delete", ahead=-DAY)
    assert FileArtifacts(tmp_path / ".fairway").exists(kept)


@pytest.mark.parametrize("step", [-DAY, DAY])
def test_the_log_keeps_the_order_in_which_things_were_confirmed(tmp_path: Path, step: float) -> None:
    now = time.time()
    with SqliteMetadata(Layout(tmp_path / "store")) as metadata:
        for number in range(1, 6):
            one = event(number)
            metadata.append([type(one)(body=one.body, run=one.run, time=now + step * number)])
        assert metadata.run_names() == ["r5", "r4", "r3", "r2", "r1"]
        assert [run.name for run in metadata.runs()] == ["r5", "r4", "r3", "r2", "r1"]
        assert [one.run for one in metadata.events()] == ["r1", "r2", "r3", "r4", "r5"]
        assert metadata.verify().problems == ()


def test_commands_whose_clock_went_back_go_on(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT.replace("time.sleep(1000)", "time.sleep(0.01)"))
    said(tmp_path, "run", "project.py", ahead=DAY)
    second = said(tmp_path, "run", "project.py")
    assert "done" in second
    assert "-" not in second.split("Done in")[1].split(" s")[0], "a negative duration"
    lines = said(tmp_path, "runs").splitlines()[1:]
    assert len(lines) == 2
    assert all("done" in line and "-" not in line.split(":")[-1] for line in lines), lines
    assert "log and tables agree" in said(tmp_path, "doctor")
