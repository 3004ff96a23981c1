"""Source files that travel with a model, as modules of a process that may have others of the same names."""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairway.formats import carried
from fairway.formats.carried import Bundle

Made = Callable[..., Bundle]


@pytest.fixture
def bundle(tmp_path: Path) -> Made:
    """Writes source files into a folder of their own; returns them as a bundle."""
    count = iter(range(100))

    def make(**files: str) -> Bundle:
        root = tmp_path / f"bundle-{next(count)}"
        for name, text in files.items():
            path = root / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Bundle(root)

    return make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, as a process with a project has it; its modules are forgotten afterwards."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def within(bundle: Bundle, name: str) -> object:
    with bundle.entered():
        __import__(name)
        return sys.modules[name]


def test_two_versions_of_a_module_live_in_one_process_each_with_its_own_code(bundle: Made) -> None:
    first, second = (within(bundle(feats=f"FACTOR = {number}"), "feats") for number in (2, 3))
    assert (first.FACTOR, second.FACTOR) == (2, 3)  # type: ignore[attr-defined]
    assert "feats" not in sys.modules


def test_an_import_within_a_function_finds_the_neighbour_that_travelled_along(
    bundle: Made, project: Path
) -> None:
    (project / "neighbour.py").write_text("VALUE = 'of the project'")
    text = "def ask():\n    from neighbour import VALUE\n    import neighbour\n    return VALUE, neighbour.VALUE\n"
    asking = within(bundle(asking=text, neighbour="VALUE = 'carried'"), "asking")
    import neighbour

    assert asking.ask() == ("carried", "carried")  # type: ignore[attr-defined]
    assert asking.ask() == ("carried", "carried")  # type: ignore[attr-defined]
    assert neighbour.VALUE == "of the project"
    assert sys.modules["neighbour"] is neighbour


def test_a_package_keeps_its_relative_and_circular_imports(bundle: Made) -> None:
    one = "from . import two\nfrom .deep.three import THREE\ndef total(): return two.twice(THREE)\n"
    two = "from shop import one\ndef twice(x): return 2 * x\n"
    made = bundle(shop__init="", shop__one=one, shop__two=two, shop__deep__three="THREE = 3")
    assert within(made, "shop.one").total() == 6  # type: ignore[attr-defined]


def test_a_module_of_the_package_that_did_not_travel_is_not_taken_from_the_project(
    bundle: Made, project: Path
) -> None:
    (project / "pack").mkdir()
    (project / "pack" / "left.py").write_text("")
    with pytest.raises(ModuleNotFoundError, match=r"pack\.left did not travel with the model"):
        within(bundle(pack__taken="import pack.left"), "pack.taken")


def test_a_process_with_the_same_sources_uses_its_own_modules(bundle: Made, project: Path) -> None:
    (project / "same").mkdir()
    (project / "same" / "part.py").write_text("X = 1")
    assert bundle(same__part="X = 1").is_the_project()
    assert not bundle(same__part="X = 2").is_the_project()
    assert not bundle(same__part="X = 1", same__other="").is_the_project()


def test_a_process_that_serves_one_model_keeps_its_modules(bundle: Made, project: Path) -> None:
    made = bundle(
        staying="import importlib\ndef late(): return importlib.import_module('latecomer').X\n",
        latecomer="X = 5",
    )
    try:
        assert made.stay()
        import staying

        assert staying.late() == 5
        assert not bundle(staying="").stay()
    finally:
        sys.meta_path.remove(made._finder)
        carried._staying.clear()


def test_another_thread_that_imports_meanwhile_gets_the_module_of_the_project(
    bundle: Made, project: Path
) -> None:
    (project / "shared.py").write_text("WHOSE = 'project'")
    found: list[str] = []

    def look() -> None:
        from shared import WHOSE

        found.append(WHOSE)

    made = bundle(shared="WHOSE = 'model'")
    thread = threading.Thread(target=look)
    with made.entered():
        from shared import WHOSE

        thread.start()
        thread.join(0.2)
        assert WHOSE == "model"
        assert not found
    thread.join(10)
    assert found == ["project"]


def test_no_compiled_file_is_left_beside_a_source(bundle: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    made = bundle(plain="X = 1")
    within(made, "plain")
    assert [path.name for path in made.files["plain"].parent.iterdir()] == ["plain.py"]


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\ndef ask(): return importlib.import_module('neighbour').VALUE\n",
        "from importlib import import_module\ndef ask(): return import_module('neighbour').VALUE\n",
        "def ask():\n    import importlib.util\n    return importlib.import_module('neighbour').VALUE\n",
        "import importlib as i\nASKED = i.import_module('neighbour').VALUE\ndef ask(): return ASKED\n",
    ],
)
def test_a_neighbour_that_is_imported_by_its_name_in_a_text_is_the_one_that_travelled_along(
    bundle: Made, project: Path, text: str
) -> None:
    (project / "neighbour.py").write_text("VALUE = 'of the project'")
    asking = within(bundle(asking=text, neighbour="VALUE = 'carried'"), "asking")
    import neighbour

    assert asking.ask() == "carried"  # type: ignore[attr-defined]
    assert neighbour.VALUE == "of the project"
