"""Runs on a real cluster from the command line of a person who may edit one namespace, and nothing else."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plane_here import push_image

from lab.kubectl import Kubectl, make_user

HEAD = "import os, time\nimport fairway as fw\nfrom rates import RATE\n"
TEXT = """
@fw.task
def double(value: int) -> float:
    print("doubling", value)
    return value * RATE

@fw.task
def wait(seconds: float) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        print("waiting", flush=True)
        time.sleep(0.5)
    return "waited"

@fw.pipeline
def main(numbers: list[int] = [1], seconds: float = 0.0) -> list[float]:
    \"\"\"Double numbers.\"\"\"
    print("read", open("data.csv").read())
    if seconds:
        return [len(wait(seconds))]
    return [double(number) for number in numbers]
"""


class Laptop:
    """The command line in a project's folder on a person's machine."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder / "shop"
        self.folder.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "XDG_"))},
            "HOME": str(folder), "KUBECONFIG": str(kubeconfig), "CI": "1",
        }  # fmt: skip
        self.write("flow.py", HEAD + TEXT)
        self.write("rates.py", "RATE = 2\n")
        self.write("data.csv", "some data")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "fairway", *words]

    def fairway(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True
        )


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]) -> str:
    """A namespace with Fairway in it."""
    name = make_namespace()
    environment = {**os.environ, "KUBECONFIG": kubectl.kubeconfig}
    command = [
        sys.executable,
        "-m",
        "fairway",
        "install",
        "--namespace",
        name,
        "--image",
        push_image(registry),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="module")
def editor(kubectl: Kubectl, installed: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of somebody who may edit the namespace."""
    return make_user(kubectl, tmp_path_factory.mktemp("editor"), "edit", installed)


@pytest.fixture
def laptop(tmp_path: Path, editor: Path) -> Iterator[Laptop]:
    made = Laptop(tmp_path, editor)
    made.fairway("target", "add", "team")
    made.environment["FAIRWAY_TARGET"] = "team"
    return made


def lines_until(command: subprocess.Popen[str], text: str) -> list[str]:
    """Read what a command says until a text comes."""
    found: list[str] = []
    assert command.stderr is not None
    for line in command.stderr:
        found.append(line)
        if text in line:
            return found
    raise AssertionError(f"{text!r} was never said: {found}")


def test_the_file_runs_there_unchanged_and_reads_as_here(laptop: Laptop) -> None:
    there = laptop.fairway("run", "flow.py", "--numbers", "2", "3")
    here = laptop.fairway("run", "flow.py", "--numbers", "2", "3", "--target", "local")

    def story(text: str) -> set[str]:
        text = re.sub(r"\d+\.\d s|\d+ MiB|run \w+|on this machine|on team", "…", text)
        return {
            re.sub(r"\s+", " ", line).strip()
            for line in text.splitlines()
            if not re.search("uploaded|waits:", line)
        }

    assert story(there.stderr) == story(here.stderr)
    assert "uploaded 3 files, " in there.stderr


def test_an_edit_is_sent_alone_and_runs(laptop: Laptop) -> None:
    laptop.fairway("run", "flow.py")
    laptop.write("flow.py", (HEAD + TEXT).replace("doubling", "scaling "))
    told = laptop.fairway("run", "flow.py").stderr
    assert "uploaded 1 file, " in told
    assert "scaling  1" in told


def test_a_detached_run_is_followed_looked_at_and_cancelled(laptop: Laptop) -> None:
    name = laptop.fairway("run", "flow.py", "--seconds", "600", "--detach").stdout.strip()
    following = laptop.start("follow", name)
    lines_until(following, "waiting")
    assert "waiting" in laptop.fairway("logs", name).stdout
    assert json.loads(laptop.fairway("show", name, "--json").stdout)["alive"]
    laptop.fairway("cancel", name)
    assert following.wait(60) == 130
    assert "Cancelled" in laptop.fairway("runs").stdout.replace("cancelled", "Cancelled")


def test_a_failed_run_is_resumed_with_the_file_as_it_is_now(laptop: Laptop) -> None:
    laptop.write("flow.py", (HEAD + TEXT).replace('open("data.csv")', 'open("nothing.csv")'))
    told = laptop.fairway("run", "flow.py", expect=1).stderr
    assert "No such file or directory: 'nothing.csv'" in told
    laptop.write("flow.py", HEAD + TEXT)
    told = laptop.fairway("resume").stderr
    assert "changed since the run worked last: flow.py" in told
    assert "Done in " in told


def test_a_run_is_followed_while_the_control_plane_is_replaced(
    laptop: Laptop, kubectl: Kubectl, installed: str
) -> None:
    following = laptop.start("run", "flow.py", "--seconds", "40")
    lines_until(following, "waiting")
    for _ in range(2):
        kubectl.inside(installed)(
            "delete", "pod", "-l", "app.kubernetes.io/name=fairway,app.kubernetes.io/instance=fairway"
        )
        time.sleep(1)
    assert following.stderr is not None
    rest = following.stderr.read()
    assert following.wait(200) == 0, rest
    assert "Done in " in rest
    assert "Error" not in rest


def test_a_plan_and_the_flags_come_from_there(laptop: Laptop) -> None:
    assert (
        len(re.findall(r"double.* run ", laptop.fairway("plan", "flow.py", "--numbers", "2", "3").stdout))
        == 2
    )
    assert "--numbers" in laptop.fairway("run", "flow.py", "--help").stdout
    assert "has no flag --number" in laptop.fairway("run", "flow.py", "--number", "1", expect=2).stderr


def test_a_script_runs_there_and_gets_the_values(laptop: Laptop) -> None:
    text = """
if __name__ == "__main__":
    done = fw.run(main, numbers=[2, 3], target="team")
    print(done.ok, done.result)
"""
    laptop.write("flow.py", HEAD + TEXT + text)
    done = subprocess.run(
        [sys.executable, "flow.py"],
        cwd=laptop.folder,
        env=laptop.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "True [4, 6]\n", done.stderr


def test_nothing_of_a_run_is_left_in_the_namespace(laptop: Laptop, kubectl: Kubectl, installed: str) -> None:
    laptop.fairway("run", "flow.py")
    inside = kubectl.inside(installed)
    until = time.monotonic() + 90
    while inside.json("get", "jobs,pods", "-l", "app.kubernetes.io/name=fairway-run")["items"]:
        assert time.monotonic() < until
        time.sleep(1)


def test_a_run_whose_driver_waits_says_for_what_before_it_has_a_name(
    laptop: Laptop, kubectl: Kubectl, installed: str
) -> None:
    there = kubectl.inside(installed)
    there("create", "quota", "full", "--hard=pods=1")
    running = laptop.start("run", "flow.py")
    told = []
    try:
        for line in running.stderr or ():
            told.append(line)
            if "is used up" in line:
                break
        else:
            raise AssertionError(told)
        there("delete", "quota", "full")
        rest = running.communicate(timeout=200)[1]
    finally:
        running.kill()
        there("delete", "quota", "full", "--ignore-not-found")
    assert running.returncode == 0, rest
    assert "the pipeline waits: quota full is used up: pods 1 of 1" in told[-1]
    assert not [line for line in told if " run " in line], told
    assert "is used up" not in rest


def test_a_step_is_tried_again_in_the_cluster_and_a_run_made_again_on_the_laptop(laptop: Laptop) -> None:
    laptop.fairway("run", "flow.py", "--numbers", "2", "3")
    name = json.loads(laptop.fairway("runs", "--json").stdout)[0]["name"]
    laptop.write("rates.py", "RATE = 5\n")
    done = laptop.fairway("retry", f"{name}/double-2")
    assert re.search(r"double value=3 +done", done.stderr)
    assert "result  15" in done.stdout
    assert f"repeats   {name}/double-2" in laptop.fairway("show").stdout
    again = laptop.fairway("reproduce", name, "--as-is", "--quiet")
    assert again.stdout.count("equal to the bit") == 4
    laptop.write("flow.py", HEAD + TEXT.replace("    return value * RATE", "    breakpoint()"))
    assert "breakpoint() has no terminal here" in laptop.fairway("run", "flow.py", expect=1).stderr
