"""A project file is imported under its own name, and one that cannot be says what to do about it."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fairway.author import bundle, code, describe, redaction
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


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, str]]]:
    """Writes files, imports one of them as a module, and gives paths of the project's files with their places."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.setattr(describe, "_folders", {})

    def imported(files: dict[str, str], file: str, module: str, *roots: str) -> dict[str, str]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        folders = [str(tmp_path / root) for root in roots]
        loaded = describe.load(str(tmp_path / file), module, folders)
        found = describe.own_files(loaded)
        return {name: place.relative_to(tmp_path).as_posix() for name, place in found.items()}

    yield imported
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_files_beside_a_project_file_and_below_are_its_own(
    imported: Callable[..., dict[str, str]],
) -> None:
    files = {"alone_flow.py": "import alone_side", "alone_side.py": "", "sub/unused.py": "", "notes.txt": ""}
    found = imported(files, "alone_flow.py", "alone_flow", "")
    assert found == {name: name for name in ("alone_flow.py", "alone_side.py", "sub/unused.py")}


def test_of_a_package_all_files_are_its_own_and_of_its_neighbours_what_was_imported(
    imported: Callable[..., dict[str, str]],
) -> None:
    files = {
        "shop_a/__init__.py": "", "shop_a/flow.py": "import library_a.used", "shop_a/deep/lazy.py": "",
        "library_a/__init__.py": "", "library_a/used.py": "", "library_a/unused.py": "", "setup_a.py": "",
    }  # fmt: skip
    found = imported(files, "shop_a/flow.py", "shop_a.flow", "")
    kept = {
        "shop_a/__init__.py",
        "shop_a/flow.py",
        "shop_a/deep/lazy.py",
        "library_a/__init__.py",
        "library_a/used.py",
    }
    assert found == {name: name for name in kept}


def test_a_package_that_is_run_lies_below_its_own_name(imported: Callable[..., dict[str, str]]) -> None:
    files = {"shop_b/__init__.py": "from . import parts", "shop_b/parts.py": ""}
    assert set(imported(files, "shop_b/__init__.py", "shop_b", "")) == set(files)


def test_a_module_of_another_folder_lies_where_its_name_says(imported: Callable[..., dict[str, str]]) -> None:
    files = {"flows/flow_c.py": "import side_c.parts", "src/side_c/parts.py": ""}
    found = imported(files, "flows/flow_c.py", "flow_c", "flows", "src")
    assert found == {"flow_c.py": "flows/flow_c.py", "side_c/parts.py": "src/side_c/parts.py"}


def test_of_two_files_for_one_path_the_imported_one_counts(imported: Callable[..., dict[str, str]]) -> None:
    files = {"lib/side_d.py": "A = 1", "flows/flow_d.py": "import side_d", "flows/side_d.py": "A = 2"}
    found = imported(files, "flows/flow_d.py", "flow_d", "lib", "flows")
    assert found["side_d.py"] == "lib/side_d.py"


def test_source_files_are_described_by_content_and_mode(
    tmp_path: Path, imported: Callable[..., dict[str, str]]
) -> None:
    imported({"tool_e.py": "A = 1\n"}, "tool_e.py", "tool_e", "")
    (tmp_path / "tool_e.py").chmod(0o755)
    (file,) = bundle.source_files(sys.modules["tool_e"], lambda digest: False)
    assert (file.path, file.place, file.size) == ("tool_e.py", str(tmp_path / "tool_e.py"), 6)
    assert file.digest == hashlib.sha256(b"A = 1\n").hexdigest()
    assert file.executable
    assert not file.secret


def test_a_source_file_that_holds_a_secret_is_marked_unless_its_content_is_stored(
    imported: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "correct horse battery")
    redaction.refresh()
    imported({"keys_f.py": "K = 'correct horse battery'\n"}, "keys_f.py", "keys_f", "")
    module = sys.modules["keys_f"]
    assert [file.secret for file in bundle.source_files(module, lambda digest: False)] == ["SHOP_TOKEN"]
    assert [file.secret for file in bundle.source_files(module, lambda digest: True)] == [""]


def test_a_source_file_that_cannot_be_read_is_left_out(
    tmp_path: Path, imported: Callable[..., dict[str, str]]
) -> None:
    imported({"flow_g.py": ""}, "flow_g.py", "flow_g", "")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    assert [file.path for file in bundle.source_files(sys.modules["flow_g"], lambda digest: False)] == [
        "flow_g.py"
    ]
