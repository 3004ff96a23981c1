"""The deployer with real workers that serve functions, which start quickly."""

import asyncio
import http.client
import os
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from fairway.local import listening
from fairway.local.deployer import LocalDeployer, Site
from fairway.local.workers import is_alive
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Bounds, RevisionSpec, port_of
from fairway.spec.errors import FairwayError, UsageError
from fairway.stores import Layout

SOURCE = Artifact(format="folder", digest="0" * 64, size=1, files=True)
FIRST_PORT = int(os.environ["FAIRWAY_FIRST_PORT"]) + 1
GOOD = "import fairway as fw\n\n@fw.endpoint\ndef double(x: float) -> float:\n    return x * 2\n"
Step = Callable[[], Coroutine[Any, Any, None]]


class Ground:
    """A store with a project, and deployers on it, all of whose workers are ended at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root.parent / "project"
        self.project.mkdir()
        self.write(GOOD)
        Layout(root).prepare()
        self.made: list[LocalDeployer] = []

    def write(self, text: str) -> None:
        (self.project / "ep.py").write_text(text)

    def deployer(self) -> LocalDeployer:
        self.made.append(LocalDeployer(self.root, lambda artifact: self.project, FIRST_PORT))
        return self.made[-1]

    def revision(self, number: int, workers: int = 1) -> RevisionSpec:
        return RevisionSpec(
            endpoint="double",
            number=number,
            function="double",
            source=SOURCE,
            module="ep.py",
            replicas=Bounds.exactly(workers),
        )

    def pids(self) -> list[int]:
        files = (self.root / "endpoints").glob("*/r*/w*.pid")
        return [pid for pid in sorted(int(path.read_text()) for path in files) if is_alive(pid)]

    def run(self, work: Step) -> None:
        async def whole() -> None:
            try:
                await work()
            finally:
                last = self.deployer()
                for deployer in self.made[:-1]:
                    deployer.let_go()
                await last.recover()
                for name in last.names():
                    await last.remove(name)
                last.let_go()

        asyncio.run(whole())
        assert self.pids() == []


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="fw-") as sockets:
        monkeypatch.setenv("XDG_RUNTIME_DIR", sockets)
        yield Ground(tmp_path / "store")
        assert list(Path(sockets).iterdir()) == []


def ask(address: str) -> bytes:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=240)
    connection.request("POST", "/", b"4", {"content-type": "application/json", "connection": "close"})
    return connection.getresponse().read()


async def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_a_revision_takes_over_and_removal_leaves_nothing(ground: Ground) -> None:
    async def work() -> None:
        deployer = ground.deployer()
        address = deployer.reserve("double", "", {})
        status = await deployer.roll(ground.revision(1, workers=2), address)
        assert (status.serving, status.ready, status.workers, status.phase) == (1, 2, 2, "Running")
        assert status.url == f"{address}/"
        first = ground.pids()
        ground.write(GOOD.replace("* 2", "* 3"))
        status = await deployer.roll(ground.revision(2), address)
        assert (status.serving, status.ready) == (2, 1)
        assert await asyncio.to_thread(ask, address) == b"12.0"
        assert not set(first) & set(ground.pids())
        assert not (ground.root / "endpoints" / "double" / "r1").exists()
        await deployer.remove("double")
        assert await deployer.observe("double") is None
        assert ground.pids() == []
        assert list((ground.root / "endpoints").iterdir()) == []

    ground.run(work)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import fairway as fw\nraise ValueError('no such table')\n", "no such table"),
        (GOOD.replace("double", "other"), "declares no endpoint 'double'"),
        ("import os\nos.kill(os.getpid(), 9)\n", "SIGKILL"),
    ],
)
def test_a_worker_that_does_not_start_says_why_and_the_old_one_serves_on(
    ground: Ground, text: str, said: str
) -> None:
    async def work() -> None:
        deployer = ground.deployer()
        address = deployer.reserve("double", "", {})
        await deployer.roll(ground.revision(1), address)
        before = ground.pids()
        ground.write(text)
        with pytest.raises(FairwayError, match=said):
            await deployer.roll(ground.revision(2, workers=2), address)
        assert ground.pids() == before
        assert await asyncio.to_thread(ask, address) == b"8.0"
        await deployer.remove("double")
        with pytest.raises(FairwayError, match=said):
            await deployer.roll(ground.revision(3), address)
        assert await deployer.observe("double") is None

    ground.run(work)


@pytest.mark.parametrize("pidfd", [True, False])
def test_a_dead_worker_is_noticed_and_replaced_alone(
    ground: Ground, pidfd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)

    async def work() -> None:
        deployer = ground.deployer()
        told: list[bool] = []
        deployer.changed = lambda: told.append(True)
        address = deployer.reserve("double", "", {})
        await deployer.roll(ground.revision(1, workers=2), address)
        killed, kept = ground.pids()
        os.kill(killed, signal.SIGKILL)
        await until(lambda: bool(told))
        status = await deployer.observe("double")
        assert status is not None
        assert (status.ready, status.workers) == (1, 1)
        assert "SIGKILL" in status.reason
        assert (await deployer.roll(ground.revision(1, workers=2), address)).ready == 2
        assert kept in ground.pids()
        assert (await deployer.roll(ground.revision(1, workers=1), address)).workers == 1

    ground.run(work)


def test_the_port_is_held_and_refuses_while_no_worker_can_be_started(ground: Ground) -> None:
    async def work() -> None:
        deployer = ground.deployer()
        told: list[bool] = []
        deployer.changed = lambda: told.append(True)
        address = deployer.reserve("double", "", {})
        await deployer.roll(ground.revision(1), address)
        os.kill(ground.pids()[0], signal.SIGKILL)
        await until(lambda: bool(told))
        ground.write("import os\nos.kill(os.getpid(), 9)\n")
        for _ in range(2):
            with pytest.raises(FairwayError, match="SIGKILL"):
                await deployer.roll(ground.revision(1), address)
            with pytest.raises(OSError, match="refused"):
                await asyncio.to_thread(ask, address)
            with pytest.raises(UsageError, match="in use"):
                listening.bind(port_of(address))
        ground.write(GOOD)
        assert (await deployer.roll(ground.revision(1), address)).ready == 1
        assert await asyncio.to_thread(ask, address) == b"8.0"
        await deployer.remove("double")
        listening.bind(port_of(address)).close()

    ground.run(work)


def test_a_hung_worker_is_ended_and_a_slow_one_is_not(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairway.local.workers._ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("fairway.local.workers._BEAT_SECONDS", 0.1)
    monkeypatch.setattr("fairway.local.workers._SILENT_SECONDS", 60.0)

    async def work() -> None:
        deployer = ground.deployer()
        told: list[bool] = []
        deployer.changed = lambda: told.append(True)
        address = deployer.reserve("double", "", {})
        await deployer.roll(ground.revision(1, workers=2), address)
        slow, hung = ground.pids()
        os.kill(slow, signal.SIGSTOP)
        await asyncio.sleep(1.0)
        os.kill(slow, signal.SIGCONT)
        monkeypatch.setattr("fairway.local.workers._SILENT_SECONDS", 4.0)
        os.kill(hung, signal.SIGSTOP)
        await until(lambda: bool(told))
        assert ground.pids() == [slow]
        status = await deployer.observe("double")
        assert status is not None
        assert "did not answer for 4 seconds" in status.reason
        assert (await deployer.roll(ground.revision(1, workers=2), address)).ready == 2
        last = ground.deployer()
        deployer.let_go()
        await last.recover()
        os.kill(slow, signal.SIGSTOP)
        await until(lambda: slow not in ground.pids())

    ground.run(work)


def test_an_endpoint_moves_to_another_port_and_stays_when_it_cannot(ground: Ground) -> None:
    async def work() -> None:
        deployer = ground.deployer()
        address = deployer.reserve("double", "", {})
        await deployer.roll(ground.revision(1), address)
        other = deployer.reserve("double", str(port_of(address) + 20), {})
        ground.write("raise ValueError('no')\n")
        with pytest.raises(FairwayError):
            await deployer.roll(ground.revision(2), other)
        assert await asyncio.to_thread(ask, address) == b"8.0"
        ground.write(GOOD)
        assert deployer.reserve("double", other, {}) == other
        assert (await deployer.roll(ground.revision(3), other)).address == other
        assert await asyncio.to_thread(ask, other) == b"8.0"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(ask, address)
        assert (await deployer.roll(ground.revision(1), address)).address == address
        assert await asyncio.to_thread(ask, address) == b"8.0"

    ground.run(work)


def test_workers_are_taken_over_with_their_socket(ground: Ground) -> None:
    async def work() -> None:
        first = ground.deployer()
        address = first.reserve("double", "", {})
        await first.roll(ground.revision(1, workers=2), address)
        before = ground.pids()
        first.let_go()
        assert await asyncio.to_thread(ask, address) == b"8.0"
        second = ground.deployer()
        await second.recover()
        status = await second.observe("double")
        assert status is not None
        assert (status.serving, status.ready, status.address) == (1, 2, address)
        assert ground.pids() == before
        told: list[bool] = []
        second.changed = lambda: told.append(True)
        os.kill(before[0], signal.SIGKILL)
        os.kill(before[1], signal.SIGKILL)
        await until(lambda: len(told) == 2)
        assert (await second.roll(ground.revision(1, workers=2), address)).ready == 2
        assert await asyncio.to_thread(ask, address) == b"8.0"

    ground.run(work)


def test_a_mute_worker_is_ended_and_a_stranger_with_its_number_is_not(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairway.local.workers._ANSWER_SECONDS", 0.5)

    async def work() -> None:
        first = ground.deployer()
        address = first.reserve("double", "", {})
        await first.roll(ground.revision(1, workers=2), address)
        mute, gone = ground.pids()
        first.let_go()
        os.kill(mute, signal.SIGSTOP)
        os.kill(gone, signal.SIGKILL)
        await until(lambda: gone not in ground.pids())
        stale = next(
            path for path in (ground.root / "endpoints").glob("*/r*/w*.pid") if path.read_text() == str(gone)
        )
        stale.write_text(str(os.getpid()))
        second = ground.deployer()
        await second.recover()
        assert not is_alive(mute)
        assert await second.observe("double") is None
        assert list((ground.root / "endpoints").glob("*/r*/w*.json")) == []

    ground.run(work)


def test_a_model_s_address_is_the_same_before_its_workers_answer(ground: Ground) -> None:
    async def work() -> None:
        deployer = ground.deployer()
        revision = msgspec.structs.replace(ground.revision(1), model=object())
        worker = SimpleNamespace(ready=False, revision=1, spec=SimpleNamespace(revision=revision))
        site = Site("double", ground.root)
        site.listening = listening.bind(0)
        site.workers.append(worker)  # type: ignore[arg-type]
        pending = deployer._status(site, None)
        worker.ready, worker.status = True, None
        assert (pending.serving, pending.ready) == (0, 0)
        assert pending.url == deployer._status(site, None).url
        assert pending.url == f"{pending.address}/v2/models/double/infer"
        site.silence()
        assert (deployer._status(site, None).address, deployer._status(site, None).url) == ("", "")

    ground.run(work)


def test_a_reserved_port_is_held_until_it_is_given_up(ground: Ground) -> None:
    async def work() -> None:
        one, other = ground.deployer(), ground.deployer()
        address = one.reserve("a", "", {})
        assert one.reserve("b", "", {}) != address
        with pytest.raises(UsageError, match=f"port {port_of(address)} belongs to endpoint a"):
            one.reserve("c", address, {})
        with pytest.raises(UsageError, match=f"port {port_of(address)} is in use by another program"):
            other.reserve("c", address, {})
        await one.remove("a")
        assert other.reserve("c", address, {}) == address

    ground.run(work)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("0", "no port 0"),
        ("70000", "no port 70000"),
        ("-1", "no port -1"),
        ("1" * 4000, "no port 1"),
        ("http://127.0.0.1", "no address of this machine"),
        ("http://churn.example:7701", "no address of this machine"),
    ],
)
def test_what_is_no_port_of_this_machine_is_refused(ground: Ground, wish: str, said: str) -> None:
    async def work() -> None:
        with pytest.raises(UsageError, match=said):
            ground.deployer().reserve("a", wish, {})

    ground.run(work)
