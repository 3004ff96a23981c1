"""A program that a project starts gets nothing of ours: no socket, no file, no token."""

import os
import signal
import socket

import pytest
from projects import Project, wait_for

STARTS = """
import contextlib, signal, subprocess

def held(pid):
    return {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")} - {0, 1, 2}

def note(name, text):
    with open(name, "a") as file:
        file.write(f"{text}\\n")

def start(name):
    '''Start a program and fork a process, and note what each has open besides its standard streams.'''
    program = subprocess.Popen(["sleep", "60"], close_fds=False, start_new_session=True).pid
    forked = os.fork()
    if forked == 0:
        time.sleep(60)
        os._exit(0)
    for kind, pid in (("program", program), ("forked", forked)):
        until = time.monotonic() + 60
        while held(pid) and time.monotonic() < until:
            time.sleep(0.01)
        note(name, f"{kind} {sorted(held(pid))}")
        os.kill(pid, signal.SIGKILL)

start("imported")

@fw.task
def one() -> int:
    return 1

@fw.pipeline
def main() -> int:
    return one()
"""

A_THREAD = "import threading\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


def noted(project: Project, name: str) -> set[str]:
    """What the project has noted; it says the same every time."""
    return set((project.folder / name).read_text().splitlines())


@pytest.mark.parametrize("thread", ["", A_THREAD], ids=["forked steps", "spawned steps"])
def test_what_a_project_starts_at_its_import_holds_nothing_of_a_host(project: Project, thread: str) -> None:
    project.write(thread + STARTS)
    project.fairway("run", "project.py")
    assert noted(project, "imported") == {"program []", "forked []"}


SERVED = """
@fw.endpoint
def hello(x: int) -> int:
    return x
"""


def test_what_a_served_project_starts_at_its_import_holds_nothing_of_the_server(project: Project) -> None:
    project.write(STARTS + SERVED)
    try:
        project.fairway("deploy", "project.py")
        assert noted(project, "imported") == {"program []", "forked []"}
    finally:
        project.fairway("down", expect=None)


LEAVES = """
if "server" in " ".join(sys.orig_argv) and os.fork() == 0:
    os.setsid()
    with open("left", "a") as file:
        print(os.getpid(), file=file)
    time.sleep(1000)
    os._exit(0)
"""


def test_a_port_is_free_when_its_server_has_ended_and_a_process_of_the_project_lives_on(
    project: Project,
) -> None:
    project.write(LEAVES + SERVED)
    url = project.fairway("deploy", "project.py").stdout.strip()
    left = project.folder / "left"
    assert wait_for(lambda: left.exists() and left.read_text())
    project.fairway("down")
    try:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])))
    finally:
        for pid in left.read_text().split():
            os.kill(int(pid), signal.SIGKILL)


FORKS_ON = """
forked = os.fork()
if forked:
    until = time.monotonic() + 60
    while (ended := os.waitpid(forked, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.01)
    print("the forked process", "ended" if ended[0] else "goes on", flush=True)

@fw.task
def one() -> int:
    return 1

@fw.pipeline
def main() -> int:
    return one()
"""


def test_a_process_that_is_forked_at_the_import_ends_there_and_becomes_no_second_host(
    project: Project,
) -> None:
    project.write(FORKS_ON)
    done = project.fairway("run", "project.py")
    assert "the forked process ended" in done.stderr


TELLS = """
@fw.task
def names() -> list[str]:
    return sorted(name for name in os.environ if name.startswith("FAIRWAY_") and name != "FAIRWAY_FIRST_PORT")

@fw.pipeline
def main() -> list[str]:
    found = fw.value(names())
    print("has", *found)
    return found

print("imported with", *sorted(name for name in os.environ if name.startswith("FAIRWAY_") and name != "FAIRWAY_FIRST_PORT"))
"""


@pytest.mark.parametrize("thread", ["", A_THREAD], ids=["forked steps", "spawned steps"])
def test_the_token_is_in_the_environment_of_no_host_and_no_step(project: Project, thread: str) -> None:
    project.environment["FAIRWAY_TOKEN"] = "t" * 40
    project.write(thread + TELLS)
    done = project.fairway("run", "project.py")
    said = done.stdout + done.stderr + project.fairway("logs").stdout
    assert "imported with FAIRWAY_HOST\n" in said
    assert "has FAIRWAY_HOST FAIRWAY_LEASE\n" in said
    assert "FAIRWAY_TOKEN" not in said
