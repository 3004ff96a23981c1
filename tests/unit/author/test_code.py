"""What a task's result depends on in its project's code: what changes the digests, and what does not."""

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fairway.author import code, redaction

BASE = """
RATE = 0.5
UNUSED = 1

def helper(x):
    return x * RATE

def other(x):
    return x

class Net:
    SIZE = 3

    def forward(self, x):
        return helper(x) + self.SIZE

def task(x, times=2):
    '''What it does.'''
    return helper(x) * times
"""

Parts = Callable[[str], dict[str, str]]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """Digests of the function `task` of a project file with that text."""
    monkeypatch.syspath_prepend(str(tmp_path))
    count = 0

    def make(text: str) -> dict[str, str]:
        nonlocal count
        for name in [name for name in sys.modules if name.startswith(("project", "features"))]:
            del sys.modules[name]
        count += 1
        file = tmp_path / f"v{count}" / "project.py"
        file.parent.mkdir()
        file.write_text(textwrap.dedent(text))
        monkeypatch.syspath_prepend(str(file.parent))
        importlib.invalidate_caches()
        return code.parts(importlib.import_module("project").task)

    yield make
    for name in [name for name in sys.modules if name.startswith(("project", "features"))]:
        del sys.modules[name]


def test_parts_are_named_after_what_they_are(parts: Parts) -> None:
    named = {"function task", "helper helper", "constant RATE", "constant task.default 0"}
    assert set(parts(BASE)) == {*named, "constant helper"}, "what the name `helper` stands for counts as well"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return x * RATE", "    # a remark\n    return x * RATE"),
        ("    return x * RATE", "    return (x\n            * RATE)"),
        ("'''What it does.'''", "'''What it does now.'''"),
        ("def helper(x):\n", "def helper(x):\n    '''Said for the first time.'''\n"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("def other(x):\n    return x", "def other(x):\n    return x + 1"),
        ("RATE = 0.5\n", "RATE = 0.5  # half\n\n\n"),
        ("SIZE = 3", "SIZE = 4"),
    ],
)
def test_what_cannot_change_the_result_changes_nothing(parts: Parts, old: str, new: str) -> None:
    assert old in BASE
    assert parts(BASE.replace(old, new)) == parts(BASE)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("RATE = 0.5", "RATE = 0.6", {"constant RATE"}),
        ("return x * RATE", "return x / RATE", {"helper helper"}),
        ("helper(x) * times", "helper(x) + times", {"function task"}),
        ("times=2", "times=3", {"function task", "constant task.default 0"}),
    ],
)
def test_what_can_change_the_result_changes_its_part(
    parts: Parts, old: str, new: str, changed: set[str]
) -> None:
    before, after = parts(BASE), parts(BASE.replace(old, new))
    assert {name for name in before | after if before.get(name) != after.get(name)} == changed


def test_a_class_counts_with_what_its_methods_refer_to(parts: Parts) -> None:
    text = BASE.replace("helper(x) * times", "Net().forward(x) * times")
    before = parts(text)
    assert {"class Net", "helper helper", "constant RATE"} <= set(before)
    assert parts(text.replace("SIZE = 3", "SIZE = 4"))["class Net"] != before["class Net"]
    assert parts(text.replace("RATE = 0.5", "RATE = 1.5"))["constant RATE"] != before["constant RATE"]


def test_functions_that_call_each_other_are_counted_once(parts: Parts) -> None:
    text = """
    def even(n): return n == 0 or odd(n - 1)
    def odd(n): return n != 0 and even(n - 1)
    def task(n): return even(n)
    """
    found = [name for name in parts(text) if not name.startswith("constant ")]
    assert sorted(found) == ["function task", "helper even", "helper odd"]


def test_a_constant_made_of_containers_counts_by_content(parts: Parts) -> None:
    text = "TABLE = {'a': [1, 2], 'b': (3, {4, 5})}\ndef task(x): return TABLE[x]\n"
    assert parts(text) == parts(text.replace("{4, 5}", "{5, 4}"))
    assert parts(text) != parts(text.replace("[1, 2]", "[2, 1]"))


def test_what_a_task_takes_from_another_module_of_the_project_counts(parts: Parts, tmp_path: Path) -> None:
    features = tmp_path / "features.py"
    features.write_text(
        "LIMIT = 3\n\ndef clean(x):\n    return min(x, LIMIT)\n\ndef unused(x):\n    return x\n"
    )
    text = "from features import clean\n\ndef task(x):\n    return clean(x)\n"
    before = parts(text)
    assert {"helper features.clean", "constant features.LIMIT"} <= set(before)
    features.write_text(features.read_text().replace("LIMIT = 3", "LIMIT = 4  # more"))
    after = parts(text)
    assert {name for name in before if before[name] != after[name]} == {"constant features.LIMIT"}


def test_installed_packages_do_not_count(parts: Parts) -> None:
    found = parts("import json\n\ndef task(x):\n    return json.dumps(x)\n")
    assert set(found) == {"function task", "constant json.dumps"}, "its name, and nothing of what is inside"


def test_a_callable_without_source_counts_by_what_it_is() -> None:
    assert set(code.parts(len)) == {"function ?"}


def changes(parts: Parts, text: str, old: str, new: str) -> set[str]:
    """Names of the parts that an edit changes, adds or takes away."""
    assert old in text
    before, after = parts(text), parts(text.replace(old, new))
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("import colorsys\ncolorsys.limit = 5\ndef task(x): return x", "= 5", "= 6"),
        ("import random\nrandom.seed(1)\ndef task(x): return x", "seed(1)", "seed(2)"),
        (
            "import colorsys\ndef mine(s): return 1\ncolorsys.unseen = mine\ndef task(x): return x",
            "return 1",
            "return 2",
        ),
        (
            "import colorsys\ndef mine(s): return 1\ncolorsys.odd = mine\ndef task(x): return colorsys.odd(x)",
            "return 1",
            "return 2",
        ),
        ("def set_up():\n    return 1\n\nset_up()\ndef task(x): return x", "return 1", "return 2"),
        ("def task(x): return task.limit\n\ntask.limit = 3", "limit = 3", "limit = 4"),
        (
            "class Meta(type):\n    RATE = 1\nclass Net(metaclass=Meta): pass\ndef task(x): return Net()",
            "RATE = 1",
            "RATE = 2",
        ),
        (
            "import threading\nclass Kept:\n    RATE = 1\nKEPT = threading.local()\nKEPT.it = Kept()\ndef task(x): return KEPT",
            "RATE = 1",
            "RATE = 2",
        ),
        ("TABLE = [lambda x: x + 1]\ndef task(x): return TABLE[0](x)", "x + 1", "x + 2"),
        (
            "def task(x):\n    import importlib\n    return importlib.import_module('project')\nUNUSED = 1",
            "UNUSED = 1",
            "UNUSED = 2",
        ),
        (
            "import sys\ndef task(x): return sys.modules['project'].UNUSED\nUNUSED = 1",
            "UNUSED = 1",
            "UNUSED = 2",
        ),
        ("def task(x): return globals()['UNUSED']\nUNUSED = 1", "UNUSED = 1", "UNUSED = 2"),
    ],
)
def test_what_is_reached_in_a_roundabout_way_counts(parts: Parts, text: str, old: str, new: str) -> None:
    assert changes(parts, text, old, new)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("def task(x): return x\nif __name__ == '__main__':\n    print(1)", "print(1)", "print(2)"),
        (
            "import importlib\ndef task(x): return importlib.import_module('json')\nUNUSED = 1",
            "UNUSED = 1",
            "UNUSED = 2",
        ),
        (
            "import functools\n@functools.cache\ndef helper(x): return x\ndef task(x): return helper(x)\nUNUSED = 1",
            "UNUSED = 1",
            "UNUSED = 2",
        ),
    ],
)
def test_what_is_not_reached_does_not_count(parts: Parts, text: str, old: str, new: str) -> None:
    assert not changes(parts, text, old, new)


def test_an_implementation_for_a_type_is_a_part_of_its_own(parts: Parts) -> None:
    text = """
    import functools

    @functools.singledispatch
    def size(x): return 0

    @size.register
    def of_int(x: int): return x + 1

    def task(x): return size(x)
    """
    assert changes(parts, text, "x + 1", "x + 2") == {"helper of_int"}


def test_names_of_code_are_those_of_the_project_alone(parts: Parts) -> None:
    parts(BASE)
    project = sys.modules["project"]
    assert code.names([project.Net, project.helper, dict, Path, project]) == (
        "project:",
        "project:Net",
        "project:helper",
    )


def test_a_name_that_nobody_has_any_more_has_no_digest(parts: Parts) -> None:
    parts(BASE)
    assert code.digest("project:Net")
    assert code.digest("nowhere:Net") == ""


def test_a_compiled_module_of_the_project_counts_by_its_content(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = tmp_path / "fast.so"
    module = ModuleType("fast")
    module.__file__ = str(compiled)
    monkeypatch.setitem(sys.modules, "fast", module)
    text = "import fast\n\ndef task(x):\n    return getattr(fast, 'work')(x)\n"
    compiled.write_bytes(b"one")
    before = parts(text)
    compiled.write_bytes(b"two")
    assert before["module fast"] != parts(text)["module fast"]


def test_an_environment_variable_that_code_names_counts_unless_it_is_secret(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    import os
    def task(x): return os.environ["REGION"] + os.getenv("ABSENT", "") + os.environ["SHOP_TOKEN"]
    """
    monkeypatch.setenv("REGION", "north")
    monkeypatch.setenv("SHOP_TOKEN", "a-long-secret-of-nobody")
    redaction.refresh()
    before = parts(text)
    assert {"variable REGION", "variable ABSENT"} <= set(before)
    assert "variable SHOP_TOKEN" not in before
    monkeypatch.setenv("UNRELATED", "1")
    assert parts(text) == before
    monkeypatch.setenv("REGION", "south")
    assert {name for name in before if parts(text)[name] != before[name]} == {"variable REGION"}
