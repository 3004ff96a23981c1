"""Which modules are the user's own."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from fairway.author import source


@pytest.mark.parametrize("name", ["_made_up.py", "/nowhere/at/all/_made_up.py"])
def test_a_module_that_names_a_file_which_is_none_is_not_of_the_project(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "_made_up.py").write_text("")
    monkeypatch.chdir(tmp_path)
    made = ModuleType("_made_up")
    made.__file__ = name
    monkeypatch.setitem(sys.modules, "_made_up", made)
    assert not source.is_project("_made_up")
    assert not list(source.module_files(["_made_up"]))


def test_a_module_with_a_file_of_its_own_is_of_the_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = ModuleType("features")
    made.__file__ = str(tmp_path / "features.py")
    (tmp_path / "features.py").write_text("")
    monkeypatch.setitem(sys.modules, "features", made)
    assert source.is_project("features")


def test_a_statement_with_effect_may_hold_a_function_of_only_a_docstring(tmp_path: Path) -> None:
    file = tmp_path / "patched.py"
    file.write_text(
        'class A: pass\nif A:\n    def later():\n        """Do nothing yet."""\n    A.hook = later\n'
    )
    text, compiled = source.effects(str(file))
    assert "hook" in text
    assert compiled is not None
