"""Runs that are submitted to the platform process: they go on by themselves, and anybody follows them from anywhere."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from projects import Project, wait_for

from fairway.remote import Direct, RemotePlatform
from fairway.spec.event import RunEnded
from fairway.spec.run import Phase
from fairway.spec.update import Over, Printed, Recorded, Update

TEXT = """
from pathlib import Path

@fw.task
def hold(gate: str) -> str:
    for line in range(200):
        print(f"line {line}")
    while not Path(gate).exists():
        time.sleep(0.02)
    print("let go")
    return os.environ.get("GREETING", "none")

@fw.pipeline
def main(gate: str = "gate", number: int = 1):
    print("in", Path.cwd().name)
    return hold(gate)
"""
LINES = "".join(f"line {line}\n" for line in range(200)) + "let go\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose step waits for a file, and no platform process left behind."""
    folder = tmp_path / "shop"
    folder.mkdir()
    made = Project(folder)
    made.write(TEXT)
    try:
        yield made
    finally:
        (folder / "gate").touch()
        made.fairway("down", expect=None)


def detach(project: Project, *words: str) -> str:
    """Submit a run; its name is all that comes on standard output."""
    name = project.fairway("run", "project.py", *words, "--detach").stdout
    assert re.fullmatch(r"\w{4,}\n", name)
    return name.strip()


def status(project: Project, run: str) -> dict[str, object]:
    """What is on record of a run."""
    return json.loads(project.fairway("show", run, "--json").stdout)


def platform_process(project: Project) -> int:
    """Process id of the platform process."""
    return int(json.loads((project.folder / ".fairway" / "platform" / "platform.json").read_text())["pid"])


def kill_platform(project: Project) -> None:
    """End the platform process as a power loss would, and wait until it is gone."""
    pid = platform_process(project)
    os.kill(pid, signal.SIGKILL)
    assert wait_for(
        lambda: not Path(f"/proc/{pid}").exists() or "\tZ" in Path(f"/proc/{pid}/status").read_text()
    )


def test_a_detached_run_goes_on_and_is_followed_to_its_end(project: Project) -> None:
    run = detach(project)
    assert status(project, run)["alive"]
    following = project.start("follow", run)
    (project.folder / "gate").touch()
    _, told = following.communicate(timeout=60)
    assert following.returncode == 0
    assert re.findall(r"hold gate=gate \| (.*)", told) == LINES.splitlines()
    assert "| in shop" in told
    assert "Done in" in told
    assert status(project, run)["phase"] == "Succeeded"
    again = project.fairway("follow", run)
    assert again.stderr.count("line 7\n") == 1
    assert json.loads(project.fairway("follow", run, "--json").stdout)["phase"] == "Succeeded"


def test_a_detached_run_outlives_the_terminal_that_it_was_started_in(project: Project) -> None:
    """The command runs in a terminal of its own, whose end sends SIGHUP to all that belongs to it."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["setsid", "--ctty", "sh", "-c", f"{sys.executable} -m fairway run project.py --detach > name; sleep 60"],
        cwd=project.folder, env=project.environment, stdin=slave, stdout=slave, stderr=slave,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # whoever runs the tests may ignore it
    )  # fmt: skip
    os.close(slave)
    name = project.folder / "name"
    assert wait_for(lambda: name.exists() and name.read_text().strip(), 60)
    os.close(master)
    assert shell.wait(30) != 0
    run = name.read_text().strip()
    assert status(project, run)["alive"]
    (project.folder / "gate").touch()
    assert project.fairway("follow", run).stderr.count("let go") == 1


def test_following_goes_on_when_the_platform_process_is_killed(project: Project) -> None:
    run = detach(project)
    following = project.start("follow", run)
    assert following.stderr is not None
    assert any("line 199" in line for line in following.stderr)
    kill_platform(project)
    assert status(project, run)["alive"]
    (project.folder / "gate").touch()
    rest = following.stderr.read()
    assert following.wait(60) == 0
    assert "let go" in rest
    assert "line 5" not in rest


def test_a_detached_run_is_cancelled(project: Project) -> None:
    run = detach(project)
    assert wait_for(lambda: [step for step in status(project, run)["steps"] if step["attempts"]])  # type: ignore[attr-defined]
    project.fairway("cancel", run)
    assert "Cancelled after" in project.fairway("follow", run, expect=130).stderr
    assert status(project, run)["phase"] == "Cancelled"


def test_an_interrupted_run_is_resumed_detached(project: Project) -> None:
    run = detach(project)
    holder = (project.folder / ".fairway" / "runs" / run / "lock").read_text()
    assert wait_for(lambda: "line 199" in project.fairway("logs", run).stdout)
    os.kill(int(holder), signal.SIGKILL)
    refused = project.fairway("follow", run, expect=2)
    assert f"fairway resume {run}" in refused.stderr
    assert project.fairway("resume", run, "--detach").stdout == f"{run}\n"
    (project.folder / "gate").touch()
    assert "Done in" in project.fairway("follow", run).stderr


def test_what_is_noted_about_a_detached_run_reaches_each_of_its_followers(project: Project) -> None:
    run = detach(project)
    holder = (project.folder / ".fairway" / "runs" / run / "lock").read_text()
    assert wait_for(lambda: "line 199" in project.fairway("logs", run).stdout)
    os.kill(int(holder), signal.SIGKILL)
    project.write(TEXT + "# edited\n")
    project.fairway("resume", run, "--detach")
    (project.folder / "gate").touch()
    noted = "changed since the run worked last: project.py"
    for _ in range(2):
        assert noted in project.fairway("follow", run).stderr
    printed = project.fairway("logs", run)
    assert noted not in printed.stdout + printed.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--number", "many"), "--number"),
        (("--nobody", "1"), "has no flag --nobody"),
        (("--gate",), "--gate"),
    ],
)
def test_wrong_flags_are_refused_before_anything_starts(
    project: Project, words: tuple[str, ...], said: str
) -> None:
    refused = project.fairway("run", "project.py", "--detach", *words, expect=2)
    assert said in refused.stderr
    assert refused.stdout == ""
    assert json.loads(project.fairway("runs", "--json").stdout) == []


def test_a_run_works_where_it_was_submitted_from(project: Project) -> None:
    inner = project.folder / "inner"
    inner.mkdir()
    (inner / "gate").touch()
    done = subprocess.run(
        project.command("run", "../project.py", "--detach", "--json"), cwd=inner, env=project.environment,
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    run = json.loads(done.stdout)["run"]
    assert "| in inner" in project.fairway("follow", run).stderr


def test_what_lies_outside_the_project_is_refused(project: Project) -> None:
    done = subprocess.run(
        project.command("run", str(project.folder / "project.py"), "--detach"), cwd=project.folder.parent,
        env=project.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "lies outside the project" in done.stderr
    assert json.loads(project.fairway("runs", "--json").stdout) == []


SCRIPT = """
import sys
from project import main
import fairway as fw

if __name__ == "__main__":
    handle = fw.run(main, gate=sys.argv[1], wait=False)
    print(handle.name, handle.phase.ended)
    open(sys.argv[1], "w").close()
    done = handle.wait()
    print(done.ok, done.result)
"""


def test_a_script_submits_a_run_and_waits_for_it_later(project: Project) -> None:
    (project.folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py", str(project.folder / "gate")], cwd=project.folder,
        env=project.environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, ended, ok, result = done.stdout.split()
    assert (ended, ok, result) == ("False", "True", "none")
    assert status(project, name)["phase"] == "Succeeded"


INSIDE = """
@fw.task
def submit() -> str:
    try:
        fw.run(other, wait=False)
    except fw.FairwayError as error:
        return str(error)
    return "submitted"

@fw.pipeline
def other(): ...

@fw.pipeline
def outer():
    return print("said:", fw.value(submit()))
"""


def test_a_step_cannot_submit_what_would_outlive_it(project: Project) -> None:
    project.write(INSIDE, "inside.py")
    project.fairway("up")
    told = project.fairway("run", "inside.py:outer").stderr
    assert "cannot be started by a step" in told
    assert len(json.loads(project.fairway("runs", "--json").stdout)) == 1


def test_a_project_cannot_submit_a_run_while_it_is_imported(project: Project) -> None:
    project.write(TEXT + "\nfw.run(main, wait=False)\n", "eager.py")
    project.fairway("up")
    refused = project.fairway("run", "eager.py", "--detach", expect=2)
    assert "while Fairway imports the project" in refused.stderr
    assert json.loads(project.fairway("runs", "--json").stdout) == []


class Cutting:
    """A TCP proxy before a platform that cuts each connection after some bytes of the answer."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.port = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a request on, and the beginning of its answer back."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = (await reader.readuntil(b"\r\n\r\n")).replace(b":%d" % self.port, b":%d" % self._port)
        far_writer.write(head)
        left = self._most
        while data := await far_reader.read(min(left, 4096)):
            writer.write(data)
            await writer.drain()
            left -= len(data)
            if left <= 0:
                self.cuts += 1
                self._most *= 2
                break
        far_writer.close()
        writer.transport.abort() if left <= 0 else writer.close()


@asynccontextmanager
async def cutting(port: int, most: int) -> AsyncIterator[Cutting]:
    """A proxy on a port of its own."""
    proxy = Cutting(port, most)
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


def test_a_broken_connection_loses_nothing_and_repeats_nothing(project: Project) -> None:
    run = detach(project)
    record = json.loads((project.folder / ".fairway" / "platform" / "platform.json").read_text())
    token = (project.folder / ".fairway" / "platform" / "token").read_text()

    async def follow() -> tuple[list[Update], int]:
        found: list[Update] = []
        async with cutting(record["port"], 300) as proxy:
            platform = RemotePlatform(Direct(f"http://127.0.0.1:{proxy.port}", token))
            async for update in platform.follow(run):
                found.append(update)
                if isinstance(update.news, Printed) and b"line 199" in update.news.data:
                    (project.folder / "gate").touch()
        return found, proxy.cuts

    updates, cuts = asyncio.run(asyncio.wait_for(follow(), 60))
    assert cuts >= 2
    printed = b"".join(
        one.news.data for one in updates if isinstance(one.news, Printed) and one.news.step == "hold"
    )
    assert printed.decode() == LINES
    facts = [one.news.event for one in updates if isinstance(one.news, Recorded)]
    assert [event.seq for event in facts] == sorted({event.seq for event in facts})
    assert isinstance(facts[-1].body, RunEnded)
    assert facts[-1].body.phase is Phase.SUCCEEDED
    assert isinstance(updates[-1].news, Over)
