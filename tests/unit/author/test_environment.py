"""Environments: what is pinned is taken, what is not is refused with the line and what to write instead."""

from pathlib import Path

import pytest

from fairway.author.environment import Environment
from fairway.spec.errors import UsageError

HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.1.0",
        "numpy == 2.1.0",
        "xgboost[scikit-learn]==3.0",
        "torch===2.5.0+cpu",
        "mine @ file:///wheels/mine-1.0-py3-none-any.whl",
        'tomli==2.0; python_version < "3.11"',
        "--extra-index-url https://example.org/simple",
    ],
)
def test_what_is_pinned_is_taken(line: str) -> None:
    assert Environment([line]).spec.requirements == (line,)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("numpy", "requirement 'numpy' is not pinned"),
        ("numpy>=2", "is not pinned"),
        ("numpy==2.*", "is not pinned"),
        ("-r other.txt", "points to another file or folder"),
        ("-e .", "points to another file or folder"),
    ],
)
def test_what_is_not_pinned_is_refused_with_a_hint(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Environment([line])
    assert caught.value.hint


def test_a_requirement_that_is_not_text_is_refused() -> None:
    with pytest.raises(UsageError, match="requirement 3 is not text"):
        Environment([3])  # type: ignore[list-item]


def test_hashes_are_wanted_of_all_lines_or_of_none() -> None:
    assert Environment([f"a==1 {HASH}", f"b==2 {HASH}"]).spec.hashed
    assert not Environment(["a==1", "b==2"]).spec.hashed
    with pytest.raises(UsageError, match="'b==2' has no hash"):
        Environment([f"a==1 {HASH}", "b==2"])


def test_comments_blank_lines_and_continued_lines_are_read_as_pip_reads_them() -> None:
    text = f"# a lock\n\na==1 \\\n    {HASH}  # why\nb==2 {HASH}\n"
    found = Environment([text]).spec.requirements
    assert found == (f"a==1 {HASH}", f"b==2 {HASH}")


def test_a_lock_file_is_found_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("a==1\n")
    scope: dict[str, object] = {"Environment": Environment, "__file__": str(tmp_path / "project.py")}
    exec("made = Environment('lock.txt')", scope)
    made = scope["made"]
    assert isinstance(made, Environment)
    assert made.spec.requirements == ("a==1",)
    with pytest.raises(UsageError, match=r"cannot read the requirements file .*nowhere\.txt"):
        exec("Environment('nowhere.txt')", scope)


@pytest.mark.parametrize("python", ["3", "three", "3.12.1.2", 3.12])
def test_a_python_is_given_by_its_version(python: object) -> None:
    with pytest.raises(UsageError, match="is not a version of Python"):
        Environment([], python=python)  # type: ignore[arg-type]


def test_equal_environments_are_equal() -> None:
    assert Environment(["a==1"], python="3.12").spec == Environment(("a==1",), python="3.12").spec
    assert Environment(["a==1"]).spec != Environment(["a==2"]).spec
