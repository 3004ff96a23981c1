"""The opening and closing of the platform that a command works on."""

import asyncio
import os
from pathlib import Path

import pytest

from fairway.cli import targeting
from fairway.cli.asking import ask
from fairway.spec.errors import NotFound
from fairway.wiring import target


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store that has files once something was written to it."""
    monkeypatch.setenv("FAIRWAY_HOME", str(tmp_path / ".fairway"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".fairway"


def open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    found: list[str] = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue  # the listing itself
    return [path for path in found if path.startswith(str(folder))]


def test_a_platform_that_was_acted_on_is_closed(store: Path) -> None:
    with targeting.acting() as platform:
        ask(platform.people.give("ana", "viewer"))
        assert open_files(store)
    assert not open_files(store)


def test_a_platform_is_closed_after_an_error_which_comes_through(store: Path) -> None:
    def command() -> None:
        with targeting.acting() as platform:
            ask(platform.people.give("ana", "viewer"))
            ask(platform.people.take("ben"))

    with pytest.raises(NotFound, match="no token"):
        command()
    assert not open_files(store)


def test_a_platform_is_closed_on_the_loop_of_its_block(store: Path) -> None:
    async def work() -> None:
        async with targeting.closing(target.here(store)) as platform:
            await platform.people.give("ana", "viewer")
            await platform.people.take("ben")

    with pytest.raises(NotFound):
        asyncio.run(work())
    assert not open_files(store)
