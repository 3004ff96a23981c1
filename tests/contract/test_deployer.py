"""What every deployer promises."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from fakes import FakeDeployer

from fairway.local.deployer import LocalDeployer
from fairway.ports import Deployer
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import FairwayError
from fairway.stores import Layout

NAME = "double"
GOOD = "import fairway as fw\n\n@fw.endpoint\ndef double(x: float) -> float:\n    return x * 2\n"


class Ground(Protocol):
    """Where a deployer works."""

    deployer: Deployer
    port: int

    def good(self, number: int, workers: int = 1) -> RevisionSpec:
        """A revision that becomes ready."""
        ...

    def bad(self, number: int) -> RevisionSpec:
        """One that does not."""
        ...

    async def leave(self) -> None:
        """End all that serves."""
        ...


def _revision(number: int, workers: int = 1) -> RevisionSpec:
    source = Artifact(format="folder", digest="0" * 64, size=1, files=True)
    return RevisionSpec(
        endpoint=NAME, number=number, function=NAME, source=source, module="ep.py", workers=workers
    )


class InMemory:
    """The stand-in that the engine's tests use."""

    def __init__(self, folder: Path) -> None:
        self.deployer = FakeDeployer()
        self.port = 7701

    def good(self, number: int, workers: int = 1) -> RevisionSpec:
        self.deployer.failing.discard(number)
        return _revision(number, workers)

    def bad(self, number: int) -> RevisionSpec:
        self.deployer.failing.add(number)
        return _revision(number)

    async def leave(self) -> None:
        await self.deployer.remove(NAME)


class ThisMachine:
    """Real workers that serve a function."""

    def __init__(self, folder: Path) -> None:
        self._project = folder / "project"
        self._project.mkdir()
        Layout(folder / "store").prepare()
        self.deployer = LocalDeployer(folder / "store", lambda artifact: self._project)
        self.port = self.deployer.claim(NAME, 0, ())

    def good(self, number: int, workers: int = 1) -> RevisionSpec:
        (self._project / "ep.py").write_text(GOOD)
        return _revision(number, workers)

    def bad(self, number: int) -> RevisionSpec:
        (self._project / "ep.py").write_text("raise ValueError('no such table')\n")
        return _revision(number)

    async def leave(self) -> None:
        await self.deployer.remove(NAME)
        self.deployer.let_go()


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=[InMemory, ThisMachine], ids=["in memory", "this machine"])
def play(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Runs work on a fresh ground."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        ground: Ground = request.param(tmp_path)
        try:
            await work(ground)
        finally:
            await ground.leave()  # pyright: ignore[reportAttributeAccessIssue]

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="fw-") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield lambda work: asyncio.run(whole(work))


def test_nothing_is_seen_of_what_was_never_there(play: Play) -> None:
    async def work(ground: Ground) -> None:
        assert await ground.deployer.observe(NAME) is None
        await ground.deployer.remove(NAME)
        assert await ground.deployer.observe(NAME) is None

    play(work)


def test_a_revision_serves_once_roll_returns(play: Play) -> None:
    async def work(ground: Ground) -> None:
        status = await ground.deployer.roll(ground.good(1, workers=2), ground.port)
        assert (status.name, status.port, status.wanted, status.serving) == (NAME, ground.port, 1, 1)
        assert (status.ready, status.workers, status.phase, status.reason) == (2, 2, "Running", "")
        assert str(ground.port) in status.url
        assert status.revision is not None
        assert status.revision.number == 1
        seen = await ground.deployer.observe(NAME)
        assert seen is not None
        assert (seen.serving, seen.ready, seen.port) == (1, 2, ground.port)

    play(work)


def test_the_next_revision_takes_over_and_an_earlier_one_may_come_back(play: Play) -> None:
    async def work(ground: Ground) -> None:
        for number in (1, 2, 1):
            status = await ground.deployer.roll(ground.good(number), ground.port)
            assert (status.serving, status.ready, status.workers) == (number, 1, 1)
        seen = await ground.deployer.observe(NAME)
        assert seen is not None
        assert seen.serving == 1

    play(work)


def test_to_roll_what_serves_already_changes_its_workers_alone(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.deployer.roll(ground.good(1, workers=1), ground.port)
        more = await ground.deployer.roll(ground.good(1, workers=2), ground.port)
        assert (more.serving, more.ready) == (1, 2)
        fewer = await ground.deployer.roll(ground.good(1, workers=1), ground.port)
        assert (fewer.serving, fewer.ready, fewer.workers) == (1, 1, 1)

    play(work)


def test_a_revision_that_does_not_become_ready_changes_nothing(play: Play) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(FairwayError):
            await ground.deployer.roll(ground.bad(1), ground.port)
        assert await ground.deployer.observe(NAME) is None
        await ground.deployer.roll(ground.good(1), ground.port)
        with pytest.raises(FairwayError):
            await ground.deployer.roll(ground.bad(2), ground.port)
        seen = await ground.deployer.observe(NAME)
        assert seen is not None
        assert (seen.serving, seen.ready, seen.phase) == (1, 1, "Running")

    play(work)


def test_what_was_removed_is_gone_and_can_be_served_again(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.deployer.roll(ground.good(1), ground.port)
        await ground.deployer.remove(NAME)
        assert await ground.deployer.observe(NAME) is None
        await ground.deployer.remove(NAME)
        status = await ground.deployer.roll(ground.good(2), ground.port)
        assert status.serving == 2

    play(work)
