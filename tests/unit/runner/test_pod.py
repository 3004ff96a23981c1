"""The first process of a pod, as a real process of this machine with a real link to a control plane in the test."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from pod_planes import LINES, NAME, Plane, Play

from fairway.runner import pod_code
from fairway.runner.pod_memory import ControlGroup
from fairway.runner.values import Values
from fairway.spec.errors import NotFound
from fairway.spec.host import StorePlace
from fairway.spec.link import Dismiss, Draining, HostEnded, Note, Orders, Passed
from fairway.spec.wire import (
    Cause,
    Described,
    Exited,
    Log,
    Stop,
    frame,
)
from fairway.stores import FileArtifacts, Layout


def test_a_pod_fetches_its_code_and_imports_it_in_its_folder(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse")

    async def work(plane: Plane) -> None:
        await plane.begin()
        described = await plane.until(Described)
        assert described.project is not None
        folder = next((plane.root / "code").iterdir())
        # What is printed comes before the description, in pieces of any size.
        printed = b"".join(one.data for one in plane.heard if isinstance(one, Note))
        assert printed.decode() == (
            f"imported from {folder}\nreads postgres://ada:[secret]@db/shop and [secret SHOP_PASSWORD]\n"
        )
        credential = plane.root / "credential"
        assert (credential.read_text(), credential.stat().st_mode & 0o777) == ("c7", 0o600)
        plane.link.send(Dismiss())
        report = await plane.until(HostEnded)
        assert (report.code, report.dismissed, report.drained) == (0, True, False)
        assert await plane.ends() == 0

    play(work)


def test_a_pod_connects_at_once_and_not_when_it_looks_around_next(play: Play) -> None:
    seldom = "import sys; from fairway.runner import pod; pod._LOOK_SECONDS = 600.0; pod.Pod(pod._settings(sys.argv[1:])).run()"

    async def work(plane: Plane) -> None:
        plane.program = ("-c", seldom)
        await plane.begin()
        await plane.until(Described)

    play(work)


def test_an_attempt_finds_nothing_that_an_earlier_one_left(play: Play) -> None:
    async def work(plane: Plane) -> None:
        (plane.scratch / "of the import").write_text("kept")
        await plane.begin()
        await plane.until(Described)
        expected = ["of the import", "2", "notes.txt", "project.py", "rates.csv"]
        for attempt in (1, 2):
            plane.start("litters", attempt, scratch=str(plane.scratch))
            await plane.until(Exited, attempt=attempt)
            record = plane.record_of("litters", attempt)
            assert record.failure is None, record.failure
            assert Values(FileArtifacts(plane.store)).load(record.outputs[0]) == expected

    play(work)


def test_an_attempt_leaves_what_another_one_uses(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.sleeper()
        plane.start("litters", scratch=str(plane.scratch))
        await plane.until(Exited, step="litters")
        assert (plane.scratch / "left").exists()
        plane.link.send(Passed(frame(Stop(step="sleeps", attempt=1, grace=0.0))[4:]))
        await plane.until(Exited, step="sleeps")
        assert list(plane.scratch.iterdir()) == []

    play(work)


def test_code_that_is_not_there_ends_the_pod_with_a_report(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin(bundle="0" * 64)
        assert "could not be fetched" in (await plane.until(HostEnded)).text
        assert await plane.ends() == 1

    play(work)


def test_a_pod_that_is_told_to_end_before_it_began_says_143(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.spawn()
        async with asyncio.timeout(60):
            while not plane.links._connections:
                await asyncio.sleep(0.02)
        plane.process.send_signal(signal.SIGTERM)
        assert await plane.ends() == 143

    play(work)


def test_sigterm_ends_the_attempts_and_says_143(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.sleeper()
        plane.process.send_signal(signal.SIGTERM)
        await plane.until(Draining)
        assert (await plane.until(Exited)).ended.cause is Cause.STOP
        report = await plane.until(HostEnded)
        assert (report.drained, report.dismissed) == (True, False)
        assert await plane.ends() == 143
        await plane.nobody_is_left()

    play(work)


def test_a_refused_pod_ends_its_host_at_once(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.sleeper()
        plane.links.forget(NAME, "its node was lost")
        assert await plane.ends() == 77
        assert "its node was lost" in (plane.root / "last").read_text()
        await plane.nobody_is_left()

    play(work)


def test_a_host_that_is_killed_is_reported_with_its_signal(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.sleeper()
        os.kill((await plane.until(Described)).pid, signal.SIGKILL)
        report = await plane.until(HostEnded)
        assert (report.code, report.signal, report.text) == (0, "SIGKILL", "it was ended by SIGKILL")
        assert await plane.ends() == 137
        await plane.nobody_is_left()

    play(work)


def test_output_waits_for_a_link_that_is_cut_and_none_of_it_is_lost(play: Play) -> None:
    async def work(plane: Plane) -> None:
        await plane.begin()
        await plane.until(Described)
        # 12 MB, which is more than a session keeps and more than all pipes hold.
        plane.start("prints", count=LINES, mark=str(plane.heart))
        await plane.until(Log)
        await cut(plane)
        await asyncio.sleep(3)
        assert not plane.heart.exists()
        held = int(Path(f"/proc/{plane.process.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )
        assert held < 120 * 2**20
        await plane.links.listen("127.0.0.1", plane.port)
        await plane.until(Exited, 60)
        lines = b"".join(one.data for one in plane.heard if isinstance(one, Log)).decode().splitlines()
        assert [int(line[:6]) for line in lines] == list(range(LINES))

    play(work)


async def cut(plane: Plane) -> None:
    """Cut the link, and let nobody connect."""
    server = plane.links._server
    assert server is not None
    server.close()
    for connection in list(plane.links._connections):
        connection.drop()
    await asyncio.sleep(0.1)


def tree(root: Path, files: dict[str, str]) -> ControlGroup:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ControlGroup(root)


FIRST = {
    "memory/memory.limit_in_bytes": "67108864\n",
    "memory/memory.stat": "cache 54525952\nrss 1024\ntotal_cache 54525952\ntotal_rss 10485760\ntotal_shmem 2097152\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    "cpu/cpu.cfs_quota_us": "150000\n",
    "cpu/cpu.cfs_period_us": "100000\n",
}
SECOND = {
    "cgroup.controllers": "cpu memory pids\n",
    "memory.max": "67108864\n",
    "memory.stat": "anon 10485760\nfile 54525952\nshmem 2097152\n",
    "memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 3\noom_group_kill 1\n",
    "cpu.max": "150000 100000\n",
}


@pytest.mark.parametrize("files", [FIRST, SECOND], ids=["version 1", "version 2"])
def test_a_control_group_of_each_version_is_read_alike(tmp_path: Path, files: dict[str, str]) -> None:
    group = tree(tmp_path, files)
    assert (group.limit(), group.used(), group.kills(), group.cpu()) == (64 * 2**20, 12 * 2**20, 3, 1.5)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"memory/memory.limit_in_bytes": "9223372036854771712\n", "cpu/cpu.cfs_quota_us": "-1\n"},
        {"cgroup.controllers": "memory\n", "memory.max": "max\n", "cpu.max": "max 100000\n"},
    ],
)
def test_no_limit_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    group = tree(tmp_path, files)
    assert (group.limit(), group.used(), group.kills(), group.cpu()) == (0, 0, 0, 0.0)


def test_code_is_copied_whole_and_may_be_written_to(tmp_path: Path) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    (source / "part").mkdir(parents=True)
    (source / "project.py").write_text("A = 1\n")
    (source / "part" / "run.sh").write_text("true\n")
    (source / "part" / "run.sh").chmod(0o755)
    Layout(store).prepare()
    bundle, _ = FileArtifacts(store).put_folder(source)
    orders = Orders(store=str(store), file="project.py", bundle=bundle)
    place = StorePlace(str(store))
    file = pod_code.fetch(orders, place, tmp_path / "code")
    assert file == tmp_path / "code" / bundle / "project.py"
    assert os.access(file.parent / "part" / "run.sh", os.X_OK)
    file.write_text("A = 2\n")
    (file.parent / "part" / "new").touch()
    assert pod_code.fetch(orders, place, tmp_path / "code").read_text() == "A = 2\n"
    other = pod_code.fetch(orders, place, tmp_path / "elsewhere")
    assert other.read_text() == "A = 1\n"


def test_code_that_the_store_lacks_leaves_no_folder(tmp_path: Path) -> None:
    Layout(tmp_path / "store").prepare()
    orders = Orders(store=str(tmp_path / "store"), file="p.py", bundle="0" * 64)
    with pytest.raises(NotFound):
        pod_code.fetch(orders, StorePlace(str(tmp_path / "store")), tmp_path / "code")
    assert not (tmp_path / "code").exists()
