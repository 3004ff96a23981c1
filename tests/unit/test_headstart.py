"""The store is found and the host of a project is started before anything else is loaded, and it is the one then used."""

from pathlib import Path

import pytest

from fairway import headstart
from fairway.local.ending import end


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
    monkeypatch.setenv("FAIRWAY_HOME", "elsewhere/./store")
    assert headstart.store_place() == str(below / "elsewhere" / "store")


def test_a_host_that_was_started_ahead_is_the_one_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAIRWAY_HOME", "store")
    Path("project.py").touch()
    headstart.head_start("./project.py")
    (ahead,) = headstart._ahead.values()
    try:
        assert headstart.launch_host(str(tmp_path / "project.py"), str(tmp_path / "store")) is ahead
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
