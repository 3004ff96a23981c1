"""The store is found and the host of a project is started before anything else is loaded, and it is the one then used."""

from pathlib import Path

import pytest

from fairway.local.reaping import end
from fairway.spec.host import HostSetup, ProjectCode, StorePlace
from fairway.wiring import headstart


@pytest.mark.parametrize(
    "path", ["a.py", "./a.py", "b/../a.py", ".//b/./a.py", "/a.py", "//b//a.py", "../a.py", "."]
)
def test_a_path_is_made_absolute_as_pathlib_does(path: str) -> None:
    assert headstart.absolute(path) == str(Path(path).absolute()).replace("//", "/")


def test_the_nearest_store_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "project" / "below"
    below.mkdir(parents=True)
    monkeypatch.delenv("FAIRWAY_HOME", raising=False)
    monkeypatch.chdir(below)
    (tmp_path / "project" / ".git").mkdir()
    (tmp_path / ".fairway").mkdir()
    (tmp_path / ".fairway" / "store.json").touch()
    assert headstart.store_place() == str(below / ".fairway"), "a repository ends the search"
    (tmp_path / "project" / ".git").rmdir()
    assert headstart.store_place() == str(tmp_path / ".fairway")
    (tmp_path / "project" / "pyproject.toml").touch()
    assert headstart.store_place() == str(tmp_path / "project" / ".fairway"), "a project's root is nearer"
    monkeypatch.setenv("FAIRWAY_HOME", "elsewhere/./store")
    assert headstart.store_place() == str(below / "elsewhere" / "store")


def test_the_store_of_a_file_is_the_one_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAIRWAY_HOME", raising=False)
    monkeypatch.chdir("/")
    package = tmp_path / "src" / "shop"
    package.mkdir(parents=True)
    file = package / "flow.py"
    file.touch()
    assert headstart.store_place(str(file)) == str(package / ".fairway"), "beside a file in no package"
    file.write_text("from .steps import load")
    assert headstart.store_place(str(file)) == str(tmp_path / ".fairway"), "above the package and `src`"
    (tmp_path / "pyproject.toml").touch()
    assert headstart.store_place(str(file)) == str(tmp_path / ".fairway")
    monkeypatch.setenv("FAIRWAY_HOME", "/elsewhere")
    assert headstart.store_place(str(file)) == "/elsewhere"


def test_the_home_folder_is_no_project_and_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAIRWAY_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    below = tmp_path / "home" / "below"
    below.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "home"):
        (folder / "pyproject.toml").touch()
    file = str(below / "flow.py")
    assert headstart.store_place(file) == str(below / ".fairway")
    (tmp_path / "home" / ".fairway").mkdir()
    (tmp_path / "home" / ".fairway" / "store.json").touch()
    assert headstart.store_place(file) == str(tmp_path / "home" / ".fairway"), "a store that is there is used"


def test_a_host_that_was_started_ahead_is_the_one_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAIRWAY_HOME", "store")
    Path("project.py").touch()
    headstart.head_start("./project.py")
    (ahead,) = headstart._ahead.values()
    try:
        setup = HostSetup(StorePlace(str(tmp_path / "store")), ProjectCode(str(tmp_path / "project.py")))
        assert headstart.launch_host(setup) is ahead
        assert not headstart._ahead
    finally:
        end(ahead, ())
        ahead.connection.close()


def test_a_project_that_is_not_there_is_left_to_be_said_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    headstart.head_start("missing.py")
    assert not headstart._ahead
