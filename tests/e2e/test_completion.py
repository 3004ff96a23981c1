"""Completion, typed into real interactive shells: files, pipelines and their flags, runs, models, endpoints."""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project

TEXT = """
from typing import Literal

class Constant:
    def predict(self, rows):
        return [0.5 for _ in rows]

@fw.task
def fit() -> object:
    return Constant()

@fw.pipeline
def first(kind: Literal["linear", "forest"] = "linear", fast: bool = False, data_file: str = ""):
    fw.register("toymodel", fit(), sample=[[0.0], [1.0]])

@fw.pipeline(name="second_one")
def second(count: int = 1): pass
"""
ALONE = "\n@fw.pipeline\ndef alone(learning_rate: float = 0.5, shuffle: bool = True): pass\n"
STARTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='READY> '; bind 'set enable-bracketed-paste off'"),
    "zsh": (["zsh", "-f", "-i"], "PROMPT='READY> '; unsetopt zle_bracketed_paste prompt_cr; autoload -Uz compinit; compinit -u"),
    "fish": (["fish", "--no-config", "-i"], "function fish_prompt; echo -n 'READY> '; end"),
}  # fmt: skip
SECONDS = 120.0


class Shell:
    """An interactive shell on a terminal of its own, with completion loaded as the documentation says."""

    def __init__(self, name: str, project: Project) -> None:
        words, prepare = STARTS[name]
        environment = {name: text for name, text in project.environment.items() if name != "CI"}
        environment |= {
            "TERM": "xterm", "COLUMNS": "120", "LINES": "40", "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        }  # fmt: skip
        self.pid, self._terminal = pty.fork()
        if not self.pid:
            os.chdir(project.folder)
            os.execvpe(words[0], words, environment)
        load = (
            "fairway completion fish | source" if name == "fish" else f'eval "$(fairway completion {name})"'
        )
        self.type(f"{prepare}\r{load}\recho LOA''DED\r")
        self.until("LOADED\r?\n")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def until(self, pattern: str) -> str:
        """What the terminal shows until the pattern came."""
        seen, end = "", time.monotonic() + SECONDS
        while not re.search(pattern, seen):
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {seen!r}"
            data = os.read(self._terminal, 65536).decode("utf-8", "replace")
            if "\x1b[c" in data:  # fish asks what kind of terminal this is, and waits for the answer
                self.type("\x1b[?62;c")
            seen += re.sub(
                r"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][AB0-2]|[=>78])", "", data
            )
        return seen

    def completes(self, typed: str, *wanted: str) -> None:
        """Check that completing `typed` offers, or fills in, all that is wanted."""
        self.type(f"{typed}\t")
        try:
            for text in wanted:
                self.until(re.escape(text))
        finally:
            self.type("\x15")

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._terminal)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a run, a model and files."""
    project = Project(tmp_path_factory.mktemp("completed"))
    project.write(TEXT, "churn_model.py")
    project.write(ALONE, "alone.py")
    (project.folder / "measured.csv").write_text("a\n1\n")
    project.fairway("run", "churn_model.py:first")
    project.fairway("models", "alias", "toymodel", "champion", "1")
    return project


@pytest.fixture(params=STARTS)
def shell(request: pytest.FixtureRequest, registered: Project) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    opened = Shell(request.param, registered)
    yield opened
    opened.close()


def test_a_shell_completes_files_pipelines_flags_runs_and_models(shell: Shell, registered: Project) -> None:
    run = registered.newest()
    shell.completes("fairway und", "undeploy")
    shell.completes("fairway run chur", "churn_model.py")
    shell.completes("fairway run churn_model.py:sec", "second_one")
    shell.completes("fairway run alone.py --learn", "--learning-rate")
    shell.completes("fairway run alone.py --no-sh", "--no-shuffle")
    shell.completes("fairway run churn_model.py:first --kind fo", "forest")
    shell.completes("fairway run churn_model.py:first --data-file meas", "measured.csv")
    shell.completes("fairway plan alon", "alone.py")
    shell.completes(f"fairway show {run[:2]}", run)
    shell.completes(f"fairway show {run}/fi", "fit")
    shell.completes("fairway models show toy", "toymodel")
    shell.completes("fairway models show toymodel@cha", "champion")
    shell.completes("fairway deploy toy", "toymodel")
    shell.completes("fairway deploy chur", "churn_model.py")


def test_completion_runs_no_project_and_makes_no_store(project: Project) -> None:
    project.write("open('imported', 'w').close()\n" + ALONE, "alone.py")
    environment = {**project.environment, "_FAIRWAY_COMPLETE": "bash_complete", "COMP_WORDBREAKS": " :"}
    for line in ("fairway run alone.py --", "fairway show ", "fairway deploy ", "fairway run alone.py:"):
        project.environment = {**environment, "COMP_WORDS": line}
        said = project.fairway(expect=None)
        assert said.stderr == ""
    assert "--learning-rate" in project_answer(project, "fairway run alone.py --")
    assert not (project.folder / "imported").exists()
    assert not (project.folder / ".fairway").exists()


def project_answer(project: Project, line: str) -> str:
    """What a shell would be told for a line."""
    project.environment = {**project.environment, "COMP_WORDS": line}
    return project.fairway(expect=None).stdout
