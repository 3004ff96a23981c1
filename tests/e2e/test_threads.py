"""A project that starts a thread when it is imported: nothing is forked then, and everything works all the same."""

import json

import pytest
from projects import Project

TEXT = """
import os
import sys
import threading
import time

threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()

@fw.task(cache=True)
def twice(x: int) -> int:
    print("doubling", x)
    return x * 2

@fw.task
def program() -> list[str]:
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().decode().split(chr(0))

@fw.task
def dies() -> int:
    os.abort()

@fw.task(timeout="2s")
def hangs() -> int:
    time.sleep(600)
    return 1

@fw.task(memory="300Mi")
def greedy() -> int:
    data = b"x" * (900 * 2**20)
    time.sleep(30)
    return len(data)

@fw.pipeline
def main() -> int:
    return sum(twice(x) for x in range(3))

@fw.pipeline
def which() -> None:
    print("program", program())

@fw.pipeline
def bad(kind: str) -> int:
    return {"dies": dies, "hangs": hangs, "greedy": greedy}[kind]()
"""


@pytest.fixture
def threaded(project: Project) -> Project:
    project.write(TEXT)
    return project


def test_each_attempt_is_a_program_of_its_own(threaded: Project) -> None:
    threaded.fairway("run", "project.py:which")
    assert "fairway.runner.spawned" in threaded.fairway("logs", f"{threaded.newest()}/pipeline").stdout


def test_results_output_and_cache_are_as_with_forks(threaded: Project) -> None:
    first = threaded.fairway("run", "project.py:main").stderr
    assert "twice x=1 | doubling 1" in first
    assert json.loads(threaded.fairway("show", "--json").stdout)["phase"] == "Succeeded"
    assert threaded.fairway("run", "project.py:main", "--explain").stderr.count("cached") == 3


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("dies", "the process crashed (SIGABRT)"),
        ("hangs", "timed out after 2.0 s"),
        ("greedy", "out of memory: it used"),
    ],
)
def test_what_ends_an_attempt_is_said_as_with_forks(threaded: Project, kind: str, said: str) -> None:
    assert said in threaded.fairway("run", "project.py:bad", "--kind", kind, expect=1).stderr
