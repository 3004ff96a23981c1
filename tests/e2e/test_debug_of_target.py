"""A step of a run on a target, debugged and profiled on this machine with the inputs that it had there."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from team_targets import backed, on_team

TEXT = """
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Order:
    number: int
    lines: list[int]

class Odd:
    def __init__(self):
        self.value = 7

@fw.task
def make(count: int) -> list[float]:
    return [number * 1.5 for number in range(count)]

@fw.task
def order() -> Order:
    return Order(4, [1, 2, 3])

@fw.task
def notes() -> fw.Folder:
    Path("notes").mkdir()
    Path("notes/a.txt").write_text("a note")
    return fw.Folder("notes")

@fw.task
def odd() -> Odd:
    return Odd()

@fw.task
def share(values: list[float], placed: Order, texts: fw.Folder, by: int) -> float:
    total = sum(values) + placed.number
    text = Path(texts, "a.txt").read_text()
    return total / by

@fw.task
def look(thing: Odd) -> int:
    return thing.value

@fw.pipeline
def shares(count: int = 100_000, by: int = 0) -> float:
    return share(make(count), order(), notes(), by)

@fw.pipeline
def odds() -> int:
    return look(odd())
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Project]:
    """A project that knows a target, whose control plane hands runs to a platform process of this machine."""
    with backed(tmp_path / "cluster") as cluster:
        yield on_team(tmp_path / "shop", cluster)


@pytest.fixture
def failed(shop: Project) -> tuple[Project, str]:
    """A project of which a run failed on the target, and the name of the run."""
    shop.write(TEXT)
    shop.fairway("run", "project.py:shares", "--target", "team", expect=1)
    return shop, newest(shop)


def newest(shop: Project) -> str:
    return json.loads(shop.fairway("runs", "--target", "team", "--json").stdout)[0]["name"]


def typed(
    shop: Project,
    text: str,
    *words: str,
    expect: int,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        shop.command(*words), cwd=shop.folder, env=shop.environment, input=text,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def stored(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and ".fairway" in path.parts]


def test_a_failed_step_of_a_target_is_debugged_here_with_its_inputs(failed: tuple[Project, str]) -> None:
    shop, run = failed
    before = stored(shop.folder)
    questions = "p 'total', total, placed, text\nq\n"
    words = ("debug", f"{run}/share", "--target", "team", "--file", "project.py")
    done = typed(shop, questions, *words, expect=1)
    assert "('total', 7499925004.0, Order(number=4, lines=[1, 2, 3]), 'a note')" in done.stdout
    assert f"brought the inputs of {run}/share here" in done.stderr
    assert "nothing of this is kept" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert stored(shop.folder) == before, "what was made on the target became part of the project's store"
    assert len(json.loads(shop.fairway("runs", "--target", "team", "--json").stdout)) == 1


def test_a_mended_step_shows_what_it_returns(
    failed: tuple[Project, str],
) -> None:
    shop, run = failed
    shop.write(TEXT.replace("total / by", "total / (by or 1)"))
    done = typed(shop, "", "debug", f"{run}/share", "--target", "team", "--file", "project.py", expect=0)
    assert "7499925004.0" in done.stdout
    assert "Done after" in done.stderr


def test_a_project_that_is_not_here_is_brought_by_the_command_that_the_hint_names(
    failed: tuple[Project, str],
) -> None:
    shop, run = failed
    (shop.folder / "project.py").unlink()
    refused = typed(shop, "", "debug", f"{run}/share", "--target", "team", expect=4)
    assert f"the project of run {run} is not here" in refused.stderr
    hint = re.search(r"`fairway (show [^`]+)`", refused.stderr)
    assert hint is not None
    shop.fairway(*hint[1].replace("FOLDER", "then").split())
    words = ("debug", f"{run}/share", "--target", "team", "--file", "then/project.py")
    assert "ZeroDivisionError" in typed(shop, "q\n", *words, expect=1).stderr


def test_an_input_that_can_run_code_is_not_brought(shop: Project) -> None:
    shop.write(TEXT)
    shop.fairway("run", "project.py:odds", "--target", "team")
    run = newest(shop)
    for command in ("debug", "profile"):
        refused = typed(
            shop, "", command, f"{run}/look", "--target", "team", "--file", "project.py", expect=5
        )
        assert f"the input thing of {run}/look is kept as pickle, which can run code" in refused.stderr
        assert "hint: return plain data" in refused.stderr


def test_a_step_of_a_target_is_profiled_here(failed: tuple[Project, str]) -> None:
    shop, run = failed
    words = ("profile", f"{run}/make", "--target", "team", "--file", "project.py")
    done = typed(shop, "", *words, expect=0)
    assert "function" in done.stdout
    assert (shop.folder / f"{run}-make.svg").read_text().startswith("<svg")


def test_a_step_that_never_got_its_inputs_is_named(shop: Project) -> None:
    shop.write(TEXT.replace("return [number * 1.5 for number in range(count)]", "return 1 / 0"))
    shop.fairway("run", "project.py:shares", "--target", "team", expect=1)
    run = newest(shop)
    refused = typed(shop, "", "debug", f"{run}/share", "--target", "team", "--file", "project.py", expect=2)
    assert "share of run" in refused.stderr
    assert "never got its inputs" in refused.stderr
