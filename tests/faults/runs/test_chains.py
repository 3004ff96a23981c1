"""A project file that starts Fairway when it is imported starts it once: no chain of processes comes of it, and none stays.

Every import leaves a line in a file, and ends its process when there are too many: so a chain stays small here.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from places import Place, children, kill, wait_for

MOST = 12
"""Imports after which a chain is cut."""

HEAD = f"""
note("imports", os.getpid())
if len(open("imports").readlines()) > {MOST}:
    os._exit(9)
COMMAND = [{sys.executable!r}, "-m", "fairway"]

@fw.task
def one(x: int) -> int:
    return x

@fw.pipeline
def main(x: int = 1):
    return one(x)
"""

REFUSED = {
    "fw.run": "fw.run(main)",
    "fw.run in a thread": "thread = threading.Thread(target=fw.run, args=(main,)); thread.start(); thread.join()",
    "fw.deploy": "fw.deploy('sums')",
    "run": "subprocess.run([*COMMAND, 'run', 'project.py'], env={})",
    "run by a shell": "os.system(' '.join([*COMMAND, 'run', 'project.py']))",
    "deploy": "subprocess.run([*COMMAND, 'deploy', 'project.py'], env={}, start_new_session=True)",
    "up": "subprocess.run([*COMMAND, 'up'], env={})",
    "the platform itself": "subprocess.run([COMMAND[0], '-m', 'fairway.control', '--root', '.fairway'], env={})",
    "a process of multiprocessing": (
        "import multiprocessing\n"
        "if multiprocessing.parent_process() is None:\n"
        "    code = 'import project; project.fw.run(project.main)'\n"
        "    child = multiprocessing.get_context('spawn').Process(target=exec, args=(code,))\n"
        "    child.start(); child.join()"
    ),
    "an orphan in a session of its own, after the import ended its process": (
        "subprocess.Popen(['sh', '-c', 'sleep 1; \"$@\"', 'sh', *COMMAND, 'run', 'project.py'],"
        " env={}, start_new_session=True); os._exit(0)"
    ),
}


def here(place: Place) -> set[int]:
    """Every living process that works in the folder of a place, whatever its environment is."""
    found: set[int] = set()
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(place.folder):
                found.add(int(entry))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("start", REFUSED.values(), ids=REFUSED)
def test_what_a_file_starts_at_its_import_is_refused_and_leaves_no_process(
    place: Callable[..., Place], start: str
) -> None:
    at = place(f"{HEAD}\n{start}\n")
    engine = at.start("run", "project.py")
    engine.wait(240)
    assert wait_for(lambda: not here(at)), "all of it ends"
    if "os._exit" not in start:  # nobody listens any more to what an orphan says
        assert "while Fairway imports" in (at.folder / "said").read_text()
    assert len(at.notes("imports")) <= 2, "a host, and no host of a host"


def test_the_count_of_imports_sees_a_chain(place: Callable[..., Place]) -> None:
    planted = "import fairway.local.descent as descent\ndescent.standing = lambda: ''\n"
    at = place(f"{HEAD}\nfw.run(main)\n", planted=planted)
    at.start("run", "project.py").wait(240)
    assert len(at.notes("imports")) > MOST


def test_a_script_without_a_guard_shows_its_line_and_what_to_do(place: Callable[..., Place]) -> None:
    at = place(f"{HEAD}\nfw.run(main)\n")
    done = subprocess.run(
        [sys.executable, "project.py"], cwd=at.folder, env=at.environment, capture_output=True, text=True, timeout=240
    )  # fmt: skip
    line = 1 + (at.folder / "project.py").read_text().splitlines().index("fw.run(main)")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "During handling" not in done.stderr
    assert f"project.py, line {line}, calls fw.run while Fairway imports the project\nhint: " in done.stderr
    assert len(at.notes("imports")) == 2, "the script and its host"
    assert not here(at)


def test_runs_inside_steps_end_at_a_small_depth(place: Callable[..., Place]) -> None:
    text = (
        f"{HEAD}\n@fw.task\ndef deeper() -> int:\n    run = fw.run(nested)\n    assert run.ok\n    return 1\n"
    )
    at = place(f"{text}\n@fw.pipeline\ndef nested() -> int:\n    return deeper()\n")
    at.fairway("run", "project.py:nested", expect=1)
    failures = [step.failure.message for run in at.runs() for step in at.status(run).steps if step.failure]
    assert len(at.runs()) == len(at.notes("imports")) == 3
    assert sum("at most 3 runs may be inside one another" in text for text in failures) == 1
    assert not here(at)


def test_a_step_may_start_a_run_by_a_command_without_environment(place: Callable[..., Place]) -> None:
    text = "@fw.task\ndef inner() -> int:\n    return 7\n\n@fw.pipeline\ndef small() -> int:\n    return inner()\n"
    text += "\n@fw.task\ndef outer() -> None:\n    kept = {'XDG_STATE_HOME': os.environ['XDG_STATE_HOME']}\n"
    text += "    subprocess.run([*COMMAND, 'run', 'project.py:small'], env=kept, check=True)\n"
    at = place(f"{HEAD}\n{text}\n@fw.pipeline\ndef whole():\n    outer()\n")
    at.fairway("run", "project.py:whole")
    assert len(at.runs()) == 2


def test_a_step_cannot_start_the_platform(place: Callable[..., Place]) -> None:
    text = f"{HEAD}\n@fw.task\ndef starts() -> None:\n    subprocess.run([*COMMAND, 'up'], check=True)\n"
    at = place(f"{text}\n@fw.pipeline\ndef whole():\n    starts()\n")
    at.fairway("run", "project.py:whole", expect=1)
    assert wait_for(lambda: not here(at))
    assert "the platform cannot be started by a step" in at.fairway("logs").stdout


IMPORTING = "note('hosts', os.getpid())\nwhile not os.path.exists('go'): time.sleep(60)\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_host_ends_with_its_engine_in_the_middle_of_an_import(
    place: Callable[..., Place], number: signal.Signals
) -> None:
    at = place(f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{IMPORTING}")
    engine = at.start("run", "project.py")
    assert wait_for(lambda: at.notes("hosts"))
    kill(engine.pid, number)
    engine.wait(240)
    assert wait_for(lambda: not here(at)), "the import is not waited for"


def test_a_host_whose_engine_died_before_its_first_line_ends_by_itself(place: Callable[..., Place]) -> None:
    slow = "import os, sys, time\n"
    slow += "while 'fairway.runner' in sys.orig_argv and not os.path.exists('begin'): time.sleep(0.02)\n"
    at = place(IMPORTING, planted=slow)
    engine = at.start("run", "project.py")
    assert wait_for(lambda: children(engine.pid))
    (host,) = children(engine.pid)
    kill(engine.pid)
    engine.wait(240)
    assert host in here(at)
    (at.folder / "begin").touch()
    assert wait_for(lambda: not here(at))
    assert not at.notes("hosts"), "nothing of the project was imported"
