"""A project file is imported under its own name, and one that cannot be says what to do about it."""

from pathlib import Path
from types import ModuleType

import pytest

from fairway.author import code, describe
from fairway.author.ref import Ref
from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("my-project", "my_project"),
        ("two words", "two_words"),
        ("2024", "_2024"),
        ("v1.2", "v1_2"),
        ("größe & co", "größe___co"),
    ],
)
def test_a_file_whose_name_is_no_module_s_is_refused_with_one_that_is(
    tmp_path: Path, name: str, better: str
) -> None:
    (tmp_path / f"{name}.py").touch()
    with pytest.raises(UsageError, match="letters, digits and _") as refused:
        describe.load(str(tmp_path / f"{name}.py"))
    assert refused.value.hint == f"rename it, such as to {better}.py"
    (tmp_path / f"{better}.py").touch()
    assert describe.load(str(tmp_path / f"{better}.py")).__name__ == better


def test_what_is_no_python_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="not a Python file"):
        describe.load(str(tmp_path / "notes.txt"))
    with pytest.raises(UsageError, match="there is no file"):
        describe.load(str(tmp_path / "missing.py"))


def test_a_model_that_a_file_names_at_its_top_is_not_loaded_to_describe_the_file() -> None:
    def load() -> object:
        raise AssertionError("it was loaded")

    module = ModuleType("holder")
    vars(module)["model"] = Ref(Artifact(format="none", digest="", size=0), load)
    assert describe.declared(module) == ({}, {}, {})
    exec("def uses():\n    return model.predict(1)", vars(module))
    assert code.parts(vars(module)["uses"])
