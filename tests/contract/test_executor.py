"""What every executor promises, and the hosts it makes."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fairway.local.executor import LocalExecutor
from fairway.local.sharing import Share
from fairway.ports import Executor, Host
from fairway.runner.values import Values
from fairway.spec.errors import FairwayError, HostLost
from fairway.spec.host import HostSetup, ProjectCode, StorePlace
from fairway.spec.quantities import Resources
from fairway.spec.run import Reason
from fairway.spec.wire import Committed, Exited, FromHost, Log, Said, Start, Started, Stop, decode_from_child
from fairway.stores import FileArtifacts, FileResults, Layout

TEXT = """
import os, subprocess, time
import fairway as fw

@fw.task
def double(n: int) -> int:
    print("doubling", n)
    return 2 * n

@fw.task
def lent() -> None:
    print(os.environ.get("FAIRWAY_LEASE"), os.environ.get("CUDA_VISIBLE_DEVICES"))

@fw.task
def fails() -> int:
    raise ValueError("no such table")

@fw.task
def sleeps() -> int:
    print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
    time.sleep(600)
    return 0

@fw.task
def dies() -> int:
    os._exit(7)

@fw.task
def hoards(count: int) -> int:
    kept = bytearray(count)
    kept[::4096] = b"x" * len(kept[::4096])
    time.sleep(600)
    return len(kept)
"""


def on_this_machine(folder: Path, project: Path) -> Executor:
    return LocalExecutor(
        HostSetup(StorePlace(str(folder / "store")), ProjectCode(str(project))),
        folder / "cache",
        lambda text: None,
        lambda file, data: None,
        Share(folder / "shared", "", str(folder / "store")),
    )


ADAPTERS: dict[str, Callable[[Path, Path], Executor]] = {"this machine": on_this_machine}


class Ear:
    """An engine's ear: what hosts said, and who of them is gone."""

    def __init__(self) -> None:
        self.heard: list[FromHost] = []
        self.gone: list[Host] = []
        self._more = asyncio.Event()

    def __call__(self, host: Host, message: FromHost | None) -> None:
        if message is None:
            self.gone.append(host)
        else:
            self.heard.append(message)
        self._more.set()

    async def until(self, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Listen until something is true."""
        async with asyncio.timeout(seconds):
            while not true():
                self._more.clear()
                await self._more.wait()

    def printed(self, step: str) -> str:
        """What a step printed so far."""
        return b"".join(
            said.data for said in self.heard if isinstance(said, Log) and said.step == step
        ).decode()

    async def exited(self, step: str, attempt: int = 1) -> Exited:
        """The end of an attempt."""

        def ends() -> list[Exited]:
            return [
                said
                for said in self.heard
                if isinstance(said, Exited) and (said.step, said.attempt) == (step, attempt)
            ]

        await self.until(ends)
        return ends()[0]


class Ground:
    """A project, its store, and an executor for it."""

    def __init__(self, folder: Path, make: Callable[[Path, Path], Executor]) -> None:
        Layout(folder / "store").prepare()
        self.project = folder / "project.py"
        self.project.write_text(TEXT)
        self.another = lambda: make(folder, self.project)
        self.executor = self.another()
        self.results = FileResults(folder / "store")
        self.values = Values(FileArtifacts(folder / "store"))
        self.ear = Ear()
        self.hosts: list[Host] = []

    async def host(self) -> Host:
        self.hosts.append(await self.executor.start(None, self.ear))
        return self.hosts[-1]

    def order(self, task: str, attempt: int = 1, **how: Any) -> Start:
        inputs = {name: self.values.save(value) for name, value in how.pop("inputs", {}).items()}
        return Start(run="r", step=task, attempt=attempt, task=task, inputs=inputs, **how)


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=sorted(ADAPTERS))
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs work on a fresh ground and closes its hosts."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        ground = Ground(tmp_path, ADAPTERS[request.param])
        try:
            await work(ground)
        finally:
            for host in ground.hosts:
                await host.close()

    return lambda work: asyncio.run(whole(work))


def alive(pid: int) -> bool:
    """Whether a process lives; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_knows_how_much_there_is(play: Play) -> None:
    async def work(ground: Ground) -> None:
        there = ground.executor.capacity()
        assert there.cpu >= 1
        assert there.memory > 2**26
        assert there.gpu >= 0

    play(work)


def test_what_is_taken_is_given_back_and_nobody_takes_more_than_there_is(play: Play) -> None:
    async def work(ground: Ground) -> None:
        executor, other = ground.executor, ground.another()
        whole = executor.capacity()
        executor.enter("k7m2")
        other.enter("p3x8")
        grant = executor.take(whole, "first")
        assert grant is not None
        assert grant.resources == whole
        assert other.take(Resources(cpu=0.5), "second") is None
        other.wait_for(Resources(cpu=0.5), "second")
        assert "k7m2" in other.who_else()
        executor.give_back(grant)
        assert other.take(Resources(cpu=0.5), "second") is not None
        other.stop_waiting()
        assert other.who_else() == ""
        assert executor.take(whole, "third") is None
        other.leave()
        assert executor.take(whole, "third") is not None
        executor.leave()

    play(work)


def test_a_step_is_told_what_it_lends_to_runs_that_it_starts(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("lent", lease="1:2:1.0:0:0", gpus=("GPU-1", "GPU-2")))
        await ground.ear.exited("lent")
        assert ground.ear.printed("lent") == "1:2:1.0:0:0 GPU-1,GPU-2\n"
        host.send(ground.order("lent", attempt=2))
        await ground.ear.exited("lent", 2)
        assert ground.ear.printed("lent").endswith("\nNone None\n")

    play(work)


def test_an_attempt_is_started_heard_and_on_record(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("double", inputs={"n": 21}))
        exited = await ground.ear.exited("double")
        assert (exited.status, exited.timed_out, exited.over_memory, exited.stopped) == (
            0,
            False,
            False,
            False,
        )
        kinds = [type(said) for said in ground.ear.heard]
        assert kinds[0] is Started
        assert kinds[-1] is Exited
        assert ground.ear.printed("double") == "doubling 21\n"
        said = [decode_from_child(one.message) for one in ground.ear.heard if isinstance(one, Said)]
        record = ground.results.read("r", "double", 1)
        assert said == [Committed(result=record)]
        assert record is not None
        assert record.failure is None
        assert ground.values.from_node(record.outputs[0]) == 42

    play(work)


def test_what_a_task_raises_is_on_record_and_what_kills_it_is_in_the_status(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("fails"))
        await ground.ear.exited("fails")
        record = ground.results.read("r", "fails", 1)
        assert record is not None
        assert record.failure is not None
        assert (record.failure.reason, "no such table" in record.failure.message) == (Reason.USER, True)
        host.send(ground.order("dies"))
        assert os.waitstatus_to_exitcode((await ground.ear.exited("dies")).status) == 7
        assert ground.results.read("r", "dies", 1) is None
        host.send(ground.order("double", inputs={"n": 1}))
        assert (await ground.ear.exited("double")).status == 0

    play(work)


@pytest.mark.parametrize("how", ["stopped", "timed out", "over memory"])
def test_an_attempt_can_be_ended_and_leaves_nobody(play: Play, how: str) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        if how == "over memory":
            host.send(ground.order("hoards", inputs={"count": 200 * 2**20}, memory=100 * 2**20))
            assert (await ground.ear.exited("hoards")).over_memory
            return
        host.send(ground.order("sleeps", timeout=3.0 if how == "timed out" else 0.0))
        await ground.ear.until(lambda: ground.ear.printed("sleeps").endswith("\n"))
        if how == "stopped":
            host.send(Stop(step="sleeps", attempt=1))
        exited = await ground.ear.exited("sleeps")
        assert (exited.stopped, exited.timed_out) == (how == "stopped", how == "timed out")
        left = int(ground.ear.printed("sleeps"))
        async with asyncio.timeout(60):
            while alive(left):
                await asyncio.sleep(0.02)

    play(work)


def test_hosts_have_names_of_their_own_and_work_at_the_same_time(play: Play) -> None:
    async def work(ground: Ground) -> None:
        one, other = await ground.host(), await ground.host()
        assert one.name != other.name
        one.send(ground.order("double", attempt=1, inputs={"n": 1}))
        other.send(ground.order("double", attempt=2, inputs={"n": 2}))
        await ground.ear.exited("double", 1)
        await ground.ear.exited("double", 2)

    play(work)


def test_close_ends_the_host_and_all_it_started(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("sleeps"))
        await ground.ear.until(lambda: ground.ear.printed("sleeps").endswith("\n"))
        await host.close()
        assert ground.ear.gone == [host]
        left = int(ground.ear.printed("sleeps"))
        async with asyncio.timeout(60):
            while alive(left):
                await asyncio.sleep(0.02)
        host.send(ground.order("double", inputs={"n": 1}))
        await host.close()
        assert ground.results.read("r", "double", 1) is None

    play(work)


def test_a_host_that_dies_is_noticed_and_says_how(play: Play) -> None:
    async def work(ground: Ground) -> None:
        host = await ground.host()
        host.send(ground.order("sleeps"))
        await ground.ear.until(lambda: ground.ear.printed("sleeps").endswith("\n"))
        step = next(said.pid for said in ground.ear.heard if isinstance(said, Started))
        parent = int(Path(f"/proc/{step}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)
        await ground.ear.until(lambda: ground.ear.gone)
        assert "SIGKILL" in host.reason()
        other = await ground.host()
        other.send(ground.order("double", inputs={"n": 3}))
        assert (await ground.ear.exited("double")).status == 0

    play(work)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("raise ValueError('no such table')\n", FairwayError, "no such table"),
        ("import os\nos.kill(os.getpid(), 9)\n", HostLost, "SIGKILL"),
    ],
)
def test_a_project_that_cannot_be_imported_makes_no_host(
    play: Play, text: str, kind: type[Exception], said: str
) -> None:
    async def work(ground: Ground) -> None:
        ground.project.write_text(text)
        with pytest.raises(kind, match=said):
            await ground.host()

    play(work)
