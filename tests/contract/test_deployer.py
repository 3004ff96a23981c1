"""What every deployer promises."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from cluster_here import ClusterHere
from fakes import FakeDeployer

from fairway.cluster.endpoints.deployer import ClusterDeployer
from fairway.cluster.observed import Event
from fairway.local.deployer import LocalDeployer
from fairway.ports import Deployer
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Bounds, EndpointStatus, RevisionSpec, request_url
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.install import Install
from fairway.stores import Layout

NAME = "double"
FIRST_PORT = int(os.environ["FAIRWAY_FIRST_PORT"]) + 1
GOOD = "import fairway as fw\n\n@fw.endpoint\ndef double(x: float) -> float:\n    return x * 2\n"


class Ground(Protocol):
    """Where a deployer works."""

    deployer: Deployer
    wish: str
    """What a person may ask for here."""

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
        endpoint=NAME,
        number=number,
        function=NAME,
        source=source,
        module="ep.py",
        replicas=Bounds.exactly(workers),
    )


class InMemory:
    """The stand-in that the engine's tests use."""

    def __init__(self, folder: Path) -> None:
        self.deployer = FakeDeployer()
        self.wish = "wished"

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
        self.deployer = LocalDeployer(folder / "store", lambda artifact: self._project, FIRST_PORT)
        self.wish = str(FIRST_PORT + 20)

    def good(self, number: int, workers: int = 1) -> RevisionSpec:
        (self._project / "ep.py").write_text(GOOD)
        return _revision(number, workers)

    def bad(self, number: int) -> RevisionSpec:
        (self._project / "ep.py").write_text("raise ValueError('no such table')\n")
        return _revision(number)

    async def leave(self) -> None:
        await self.deployer.remove(NAME)
        self.deployer.let_go()


class OnACluster:
    """Pods that a Service leads to, in a cluster in memory."""

    def __init__(self, folder: Path) -> None:
        self._cluster = ClusterHere()
        install = Install(uid="ab" * 16, namespace="team", version="1", image="none@sha256:0")
        self.deployer = ClusterDeployer(self._cluster, install, no_events, runtime, print)
        self.deployer.start(lambda: None)
        self.wish = ""

    def good(self, number: int, workers: int = 1) -> RevisionSpec:
        self._cluster.failing.discard(str(number))
        return _revision(number, workers)

    def bad(self, number: int) -> RevisionSpec:
        self._cluster.failing.add(str(number))
        return _revision(number)

    async def leave(self) -> None:
        self.deployer.close()
        self._cluster.close()


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=[InMemory, ThisMachine, OnACluster], ids=["in memory", "this machine", "a cluster"])
def play(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Runs work on a fresh ground."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="fw-") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield played(request.param, tmp_path)


@pytest.fixture(params=[InMemory, ThisMachine], ids=["in memory", "this machine"])
def play_with_addresses(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Play]:
    """Runs work on a fresh ground where a person may choose an address. On a cluster it follows from the name."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="fw-") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield played(request.param, tmp_path)


def played(make: Callable[[Path], Any], folder: Path) -> Play:
    """Return a function that runs work on a ground."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        ground: Ground = make(folder)
        try:
            await work(ground)
        finally:
            await ground.leave()

    return lambda work: asyncio.run(whole(work))


async def runtime(endpoint: str, ip: str) -> str:
    """Return what a server says of itself."""
    return "python"


async def no_events(pod: str) -> tuple[Event, ...]:
    """Return the events about a pod, of which there are none."""
    return ()


async def serve(ground: Ground, revision: RevisionSpec, wish: str = "") -> EndpointStatus:
    """Roll a revision at the address that the deployer gives."""
    return await ground.deployer.roll(revision, ground.deployer.reserve(NAME, wish, {}))


def test_nothing_is_seen_of_what_was_never_there(play: Play) -> None:
    async def work(ground: Ground) -> None:
        assert await ground.deployer.observe(NAME) is None
        await ground.deployer.remove(NAME)
        assert await ground.deployer.observe(NAME) is None

    play(work)


def test_a_revision_serves_once_roll_returns(play: Play) -> None:
    async def work(ground: Ground) -> None:
        status = await serve(ground, ground.good(1, workers=2))
        assert (status.name, status.wanted, status.serving, status.others) == (NAME, 1, 1, 0)
        assert (status.ready, status.workers, status.phase, status.reason) == (2, 2, "Running", "")
        assert status.revision is not None
        assert status.url == request_url(status.address, status.revision)
        assert status.samples in ("", "none")
        assert status.revision.number == 1
        seen = await ground.deployer.observe(NAME)
        assert seen is not None
        assert (seen.serving, seen.ready, seen.address) == (1, 2, status.address)

    play(work)


def test_the_next_revision_takes_over_and_an_earlier_one_may_come_back(play: Play) -> None:
    async def work(ground: Ground) -> None:
        for number in (1, 2, 1):
            status = await serve(ground, ground.good(number))
            assert (status.serving, status.ready, status.workers) == (number, 1, 1)
        seen = await ground.deployer.observe(NAME)
        assert seen is not None
        assert seen.serving == 1

    play(work)


def test_to_roll_what_serves_already_changes_its_workers_alone(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await serve(ground, ground.good(1, workers=1))
        more = await serve(ground, ground.good(1, workers=2))
        assert (more.serving, more.ready) == (1, 2)
        fewer = await serve(ground, ground.good(1, workers=1))
        assert (fewer.serving, fewer.ready, fewer.workers) == (1, 1, 1)

    play(work)


def test_a_revision_that_does_not_become_ready_changes_nothing(play: Play) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(FairwayError):
            await serve(ground, ground.bad(1))
        assert await ground.deployer.observe(NAME) is None
        await serve(ground, ground.good(1))
        with pytest.raises(FairwayError):
            await serve(ground, ground.bad(2))
        seen = await ground.deployer.observe(NAME)
        assert seen is not None
        assert (seen.serving, seen.ready, seen.phase) == (1, 1, "Running")

    play(work)


def test_what_was_removed_is_gone_and_can_be_served_again(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await serve(ground, ground.good(1))
        await ground.deployer.remove(NAME)
        assert await ground.deployer.observe(NAME) is None
        await ground.deployer.remove(NAME)
        status = await serve(ground, ground.good(2))
        assert status.serving == 2

    play(work)


def test_a_number_of_workers_within_the_bounds_is_enough(play: Play) -> None:
    async def work(ground: Ground) -> None:
        scaled = msgspec.structs.replace(ground.good(1), replicas=Bounds(1, 3))
        status = await serve(ground, scaled)
        assert status.ready in scaled.replicas
        assert (status.serving, status.workers) == (1, status.ready)

    play(work)


def test_an_endpoint_keeps_its_address_and_no_other_gets_it(play: Play) -> None:
    async def work(ground: Ground) -> None:
        deployer = ground.deployer
        first = (await serve(ground, ground.good(1))).address
        assert deployer.reserve(NAME, "", {}) == deployer.reserve(NAME, first, {}) == first
        assert deployer.reserve("other", "", {NAME: first}) != first
        with pytest.raises(UsageError, match=f"belongs to endpoint {NAME}"):
            deployer.reserve("other", first, {NAME: first})
        await deployer.remove("other")

    play(work)


def test_two_endpoints_that_reserve_before_they_serve_get_two_addresses(play: Play) -> None:
    async def work(ground: Ground) -> None:
        first = ground.deployer.reserve(NAME, "", {})
        assert ground.deployer.reserve("other", "", {}) != first
        await ground.deployer.remove("other")

    play(work)


def test_an_address_is_free_again_after_its_endpoint_is_removed(play_with_addresses: Play) -> None:
    async def work(ground: Ground) -> None:
        first = (await serve(ground, ground.good(1))).address
        await ground.deployer.remove(NAME)
        assert ground.deployer.reserve("other", first, {}) == first
        await ground.deployer.remove("other")

    play_with_addresses(work)


def test_an_endpoint_moves_to_an_address_that_is_wished_for(play_with_addresses: Play) -> None:
    async def work(ground: Ground) -> None:
        first = await serve(ground, ground.good(1))
        moved = await serve(ground, ground.good(2), ground.wish)
        assert moved.address != first.address
        assert ground.wish in moved.address
        back = await serve(ground, ground.good(2), first.address)
        assert (back.address, back.serving, back.workers) == (first.address, 2, 1)

    play_with_addresses(work)
