"""Looking for an error as a person does it: a run in one process with the terminal, and one step alone."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from projects import Project, steps, wait_for

STORY = """
@fw.task(cache=True)
def prepare(count: int) -> tuple[list[int], str]:
    print("prepare in process", os.getpid())
    os.environ["LEFT_BY_A_STEP"] = "yes"
    return list(range(count)), "x"

@fw.task(retries=2)
def share(data: list[int], by: int) -> float:
    print("share in process", os.getpid(), os.environ.get("LEFT_BY_A_STEP", "clean"))
    total = sum(data)
    return total / by

@fw.task
def late(value: float) -> float:
    return value

@fw.pipeline
def main(count: int = 4, by: int = 2) -> float:
    print("pipeline in process", os.getpid())
    data, _ = prepare(count)
    return late(share(data, by))
"""


def typed(
    project: Project, text: str, *words: str, expect: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """A command to which a person types a text."""
    done = subprocess.run(
        project.command(*words), cwd=project.folder, env=project.environment, input=text,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert expect is None or done.returncode == expect, done.stdout + done.stderr
    return done


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, project: Project, *words: str) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(project.folder)
            os.execve(sys.executable, project.command(*words), {**project.environment, "TERM": "dumb"})
        self.shown = ""

    def until(self, text: str, seconds: float = 120.0) -> None:
        """Read what the command shows until the text is there."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self._fd], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._fd, 65536).decode(errors="replace")
                except OSError:
                    break
        assert text in self.shown, self.shown

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._fd, text.encode())

    def exit_code(self) -> int:
        """Wait for the end, and return the exit code."""
        while True:
            try:
                if not os.read(self._fd, 65536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_steps_run_here_in_one_process_one_after_the_other_and_are_recorded(project: Project) -> None:
    project.write(STORY)
    done = project.fairway("run", "project.py", "--here")
    lines = [line for line in done.stdout.splitlines() if "in process" in line]
    assert [line.split()[0] for line in lines] == ["pipeline", "prepare", "share"]
    assert len({line.split()[3] for line in lines}) == 1
    assert lines[-1].endswith("clean")
    assert "result  3.0" in done.stdout
    assert "is not recorded" in done.stderr
    assert {step["phase"] for step in steps(project).values()} == {"Succeeded"}
    again = project.fairway("run", "project.py")
    assert "cached" in again.stderr


def test_breakpoint_stops_where_it_stands_when_steps_run_here(project: Project) -> None:
    project.write(STORY.replace("    total = sum(data)", "    total = sum(data)\n    breakpoint()"))
    terminal = Terminal(project, "run", "project.py", "--here")
    terminal.until("(Pdb)")
    terminal.type("total * 1000\n")
    terminal.until("6000")
    terminal.type("by = 6\n")
    terminal.type("c\n")
    terminal.until("Done in")
    terminal.type("")
    assert terminal.exit_code() == 0
    assert "result  1.0" in project.fairway("show").stdout


def test_a_debugger_that_began_the_command_stops_at_its_own_breakpoints(project: Project) -> None:
    project.write(STORY)
    number = next(
        n
        for n, line in enumerate((project.folder / "project.py").read_text().splitlines(), 1)
        if "return total" in line
    )
    place = f"{project.folder / 'project.py'}:{number}"
    done = subprocess.run(
        [sys.executable, "-m", "pdb", "-c", f"b {place}", "-c", "c", "-m", "fairway", "run", "project.py", "--here"],
        cwd=project.folder, env=project.environment, input="p total + 7000\nc\n",
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert "7006" in done.stdout, done.stdout + done.stderr


def test_leaving_the_debugger_cancels_the_run_that_can_be_resumed(project: Project) -> None:
    project.write(STORY.replace("    total = sum(data)", "    breakpoint()\n    total = sum(data)"))
    done = typed(project, "q\n", "run", "project.py", "--here", expect=130)
    assert "Cancelled" in done.stderr
    found = steps(project)
    assert found["prepare"]["phase"] == "Succeeded"
    assert found["share"]["phase"] == "Cancelled"
    project.write(STORY)
    assert "result  3.0" in project.fairway("resume").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_a_run_here(project: Project, number: signal.Signals) -> None:
    project.write(
        STORY.replace("    total = sum(data)", "    open('begun', 'w').close()\n    time.sleep(600)")
    )
    running = project.start("run", "project.py", "--here")
    assert wait_for((project.folder / "begun").exists)
    os.kill(running.pid, number)
    assert running.wait(60) == 130
    assert steps(project)["share"]["phase"] == "Cancelled"


def test_a_cancelled_run_here_ends(project: Project) -> None:
    project.write(
        STORY.replace("    total = sum(data)", "    open('begun', 'w').close()\n    time.sleep(600)")
    )
    running = project.start("run", "project.py", "--here")
    assert wait_for((project.folder / "begun").exists)
    project.fairway("cancel", project.newest())
    assert running.wait(60) == 130


def test_a_failed_step_that_the_pipeline_ignores_fails_a_run_here_as_any_run(project: Project) -> None:
    ignores = """
@fw.task
def fails() -> int:
    raise ValueError("no")

@fw.pipeline
def ignoring() -> int:
    fails()
    return 1

@fw.pipeline
def handling() -> int:
    try:
        return fw.value(fails())
    except Exception:
        return 2
"""
    project.write(ignores)
    for words in ((), ("--here",)):
        project.fairway("run", "project.py:ignoring", *words, expect=1)
        assert "result  2" in project.fairway("run", "project.py:handling", *words).stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("breakpoint()", "breakpoint() has no terminal here"),
        ("import pdb; pdb.set_trace()", "a debugger has no terminal here"),
        ("input('name? ')", "input() has no terminal here"),
    ],
)
def test_a_question_to_a_person_in_an_ordinary_run_says_where_it_works(
    project: Project, line: str, says: str
) -> None:
    asking = f"""
@fw.task
def asks() -> int:
    {line}
    return 1

@fw.pipeline
def main() -> int:
    return asks()

@fw.pipeline
def itself() -> int:
    {line}
    return 1
"""
    project.write(asking)
    for pipeline in ("main", "itself"):
        done = project.fairway("run", f"project.py:{pipeline}", expect=1)
        assert says in done.stderr
        assert "--here" in done.stderr
        assert "fairway debug" in done.stderr
    project.write(f"{line}\n{asking}")
    refused = project.fairway("run", "project.py:main", expect=None)
    assert refused.returncode
    assert says in refused.stderr


def test_a_project_that_asks_at_its_import_does_not_stop_on_a_terminal(project: Project) -> None:
    project.write("input('name? ')\n@fw.pipeline\ndef main() -> int:\n    return 1\n")
    terminal = Terminal(project, "run", "project.py")
    terminal.until("input() has no terminal here", 60.0)
    assert terminal.exit_code() == 1


def test_a_hook_that_needs_no_terminal_keeps_its_meaning(project: Project) -> None:
    project.write(STORY.replace("    total = sum(data)", "    breakpoint()\n    total = sum(data)"))
    project.environment["PYTHONBREAKPOINT"] = "0"
    assert "result  3.0" in project.fairway("run", "project.py").stdout
    (project.folder / "remote.py").write_text("def stop():\n    print('waits for a connection')\n")
    project.environment["PYTHONBREAKPOINT"] = "remote.stop"
    assert "waits for a connection" in project.fairway("run", "project.py").stderr


def test_a_step_is_tried_again_alone_with_its_inputs_and_the_present_code(project: Project) -> None:
    project.write(STORY)
    project.fairway("run", "project.py", "--by", "0", expect=1)
    run = project.newest()
    assert "ZeroDivisionError" in project.fairway("retry", f"{run}/share", expect=1).stderr
    project.write(STORY.replace("total / by", "total / (by or 3)"))
    done = project.fairway("retry", f"{run}/share")
    assert "result  2.0" in done.stdout
    assert list(steps(project)) == ["share"]
    assert f"repeats   {run}/share" in project.fairway("show").stdout
    again = project.fairway("retry", f"{run}/prepare")
    assert "1: x" in again.stdout


def test_what_cannot_be_tried_again_is_explained(project: Project) -> None:
    project.write(STORY)
    project.fairway("run", "project.py", "--by", "0", expect=1)
    run = project.newest()
    assert "never got its inputs" in project.fairway("retry", f"{run}/late", expect=2).stderr
    assert "has no step 'shar'" in project.fairway("retry", f"{run}/shar", expect=4).stderr
    assert "names no step" in project.fairway("retry", run, expect=2).stderr
    project.write(
        STORY.replace("by: int) -> float", "parts: int) -> float").replace("total / by", "total / parts")
    )
    assert "no parameter 'by'" in project.fairway("retry", f"{run}/share", expect=1).stderr


def test_an_interrupted_retry_is_resumed_as_that_one_step(project: Project) -> None:
    project.write(STORY)
    project.fairway("run", "project.py", "--by", "0", expect=1)
    run = project.newest()
    project.fairway("retry", f"{run}/share", expect=1)
    project.write(STORY.replace("total / by", "total / (by or 3)"))
    assert "result  2.0" in project.fairway("resume").stdout
    assert list(steps(project)) == ["share"]


def test_a_failing_step_opens_a_debugger_at_its_line_with_its_recorded_inputs(project: Project) -> None:
    project.write(STORY)
    project.fairway("run", "project.py", "--by", "0", expect=1)
    run = project.newest()
    terminal = Terminal(project, "debug", f"{run}/share")
    terminal.until("(Pdb)")
    assert "return total / by" in terminal.shown
    terminal.type("p (total, by, data)\n")
    terminal.until("(6, 0, [0, 1, 2, 3])")
    terminal.type("q\n")
    terminal.until("error: share: ZeroDivisionError")
    assert terminal.exit_code() == 1
    assert list(steps(project)) == ["share"]


def test_a_step_that_works_is_debugged_to_its_end(project: Project) -> None:
    project.write(STORY)
    project.fairway("run", "project.py")
    assert "result  3.0" in typed(project, "", "debug", f"{project.newest()}/share").stdout
    assert Path(project.folder, ".fairway").exists()


def test_a_profile_shows_where_the_time_and_memory_of_a_step_went(project: Project) -> None:
    project.write(
        "def slow():\n    until = time.monotonic() + 0.6\n    while time.monotonic() < until: sum(range(1000))\n"
        "def quick():\n    until = time.monotonic() + 0.1\n    while time.monotonic() < until: sum(range(1000))\n"
        "@fw.task\ndef work(size: int) -> int:\n    held = [bytes(1 << 20) for _ in range(size)]\n"
        "    slow()\n    quick()\n    return len(held)\n"
        "@fw.pipeline\ndef main(size: int = 30) -> int:\n    return work(size)\n"
    )
    project.fairway("run", "project.py")
    run = project.newest()
    done = project.fairway("profile", f"{run}/work", "--memory")
    rows = [line.split() for line in done.stdout.splitlines() if "project.py:" in line]
    assert rows[0][2] == "slow"
    assert int(rows[0][0].rstrip("%")) > 50
    assert "30 MiB at its peak" in done.stdout.replace("31 MiB", "30 MiB")
    assert rows[-1][-1].startswith("project.py:")
    drawn = ElementTree.fromstring((project.folder / f"{run}-work.svg").read_text("utf-8"))
    bars = [one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert any(bar.startswith("slow (project.py:") for bar in bars)
    assert list(steps(project)) == ["work"]
