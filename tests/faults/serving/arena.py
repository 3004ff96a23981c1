"""A store with models, its platform as a real process, and clients that notice every request they lose."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from served import processes

from fairway.local import listening, platforms
from fairway.local.workers import control_name
from fairway.remote import Direct, RemotePlatform
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.quantities import Bounds

MODELS = """
import fairway as fw
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

@fw.task
def rates(broken: bool) -> LinearRegression:
    data = np.random.default_rng(0).normal(size=(200, 4))
    model = LinearRegression().fit(data, data.sum(axis=1))
    if broken:
        model.coef_ = model.coef_ * np.nan
    return model

@fw.task
def train(c: float) -> LogisticRegression:
    random = np.random.default_rng(0)
    data = random.normal(size=(200, 4))
    return LogisticRegression(C=c).fit(data, (data[:, 0] > 0).astype(int))

@fw.task
def sample() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(32, 4))

@fw.pipeline
def churn() -> fw.ModelVersion:
    first = fw.register("churn", train(1.0), sample=sample())
    fw.value(first)
    for broken in (False, True):
        fw.value(fw.register("rates", rates(broken), sample=sample()))
    return fw.register("churn", train(0.01), sample=sample())
"""
ROWS = b"[[1.0, 2.0, 3.0, 4.0]]"
ONE = b"1.0"


class Arena:
    """A folder with a project. `planted` is Python code that every process of Fairway started here runs first."""

    def __init__(self, folder: Path, planted: str = "") -> None:
        self.folder = folder
        self.root = folder / ".fairway"
        self._environment = dict(os.environ)
        self._environment["FAIRWAY_HOME"] = str(self.root)
        if planted:
            place = folder / "planted"
            place.mkdir()
            (place / "sitecustomize.py").write_text(planted)
            self._environment["PYTHONPATH"] = str(place)

    def fairway(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """The real command line."""
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """The real command line, not waited for; what it says goes to the file `said`."""
        with open(self.folder / "said", "ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "fairway", *words],
                cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    def file(self, name: str, text: str) -> str:
        """Write a project file; returns its name."""
        (self.folder / name).write_text(text)
        return name

    def up(self) -> int:
        """Have a platform, started as the command line does it; returns its process id."""
        if platforms.running(self.root) is None:
            command = [sys.executable, "-P", "-m", "fairway.control", "--root", str(self.root)]
            with open(self.folder / "platform.log", "ab") as log:
                child = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
            threading.Thread(target=child.wait, daemon=True).start()
            assert wait_for(lambda: platforms.running(self.root) is not None)
        record = platforms.running(self.root)
        assert record is not None
        return record.pid

    def api(self) -> RemotePlatform:
        """The platform that runs."""
        record = platforms.running(self.root)
        assert record is not None, "no platform runs"
        return RemotePlatform(Direct(record.url, (self.root / "platform" / "token").read_text()))

    def deploy(self, model: str = "churn:1", name: str = "churn", replicas: int = 2, **more: Any) -> Deployed:
        """Deploy over the API, without the time that the command line takes to start."""
        request = DeployRequest(name=name, model=model, replicas=Bounds.exactly(replicas), **more)
        return asyncio.run(self.api().deploy(request))

    def rollback(self, name: str = "churn") -> Deployed:
        return asyncio.run(self.api().rollback(name))

    def status(self, name: str = "churn") -> EndpointStatus:
        found = asyncio.run(self.api().endpoints())
        return next(status for status in found if status.name == name)

    def settled(self, name: str = "churn") -> bool:
        status = self.status(name)
        return status.serving == status.wanted and status.ready == status.workers == len(self.workers(name))

    def workers(self, name: str = "") -> list[int]:
        """Process ids of the workers of an endpoint, or of all."""
        return processes(b"fairway.server", os.fsencode(self.root / "endpoints" / name))

    def platform(self) -> list[int]:
        return processes(b"fairway.control", os.fsencode(self.root))

    def asked(self, pid: int) -> dict[str, Any]:
        """What a worker says of itself on its control socket."""
        specs = list((self.root / "endpoints").glob("*/r*/w*.json"))
        path = next(path for path in specs if path.with_suffix(".pid").read_text() == str(pid))
        control = str(listening.sockets_folder(self.root) / control_name(path))

        async def ask() -> bytes:
            reader, writer = await asyncio.open_unix_connection(control)
            writer.write(b'{"do":"status"}\n')
            line = await asyncio.wait_for(reader.readline(), 60)
            writer.close()
            return line

        return msgspec.json.decode(asyncio.run(ask()))

    def end(self) -> None:
        """End everything that was started here."""
        for pid in [*self.platform(), *self.workers()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@dataclass
class Answer:
    """What a client got."""

    status: int
    head: dict[bytes, bytes]
    body: bytes


@dataclass
class Lost:
    """A request without its answer: when it began, when that was seen, and what came instead."""

    began: float
    seen: float
    why: str


@dataclass
class Killed:
    """When a worker's death was asked for, and when it was gone."""

    asked: float
    gone: float

    def was_answering(self, lost: Lost) -> bool:
        """Whether the request was under way while the worker died; another one may be lost by no kill."""
        return lost.began <= self.gone and self.asked <= lost.seen


def request(path: str, body: bytes, *, close: bool = False, key: str = "") -> bytes:
    """One request as it goes over the wire; the host is filled in by the client."""
    lines = [f"POST {path} HTTP/1.1", "host: {host}", "content-type: application/json"]
    lines += [f"content-length: {len(body)}", *(["connection: close"] if close else [])]
    lines += [f"authorization: Bearer {key}"] if key else []
    return "\r\n".join([*lines, "", ""]).encode() + body


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: bytes, seconds: float = 120.0
) -> Answer:
    """Send one request on a connection and read its whole answer."""
    async with asyncio.timeout(seconds):
        writer.write(wire)
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields[b"content-length"]))
    return Answer(int(head[0].split()[1]), fields, body)


def once(port: int, body: bytes = ROWS, path: str = "/", key: str = "") -> Answer:
    """One request on a connection of its own."""

    async def ask() -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        wire = request(path, body, close=True, key=key).replace(b"{host}", b"127.0.0.1:%d" % port)
        try:
            return await exchange(reader, writer, wire)
        finally:
            writer.close()

    return asyncio.run(ask())


@dataclass
class Load:
    """Clients that ask at a steady rate, never again for the same: each request is answered 200, or lost.

    `fresh` clients use a connection for one request; others keep theirs until they are told to close it, or until
    they see, before they ask again, that it was closed: as every library that keeps connections does.
    """

    port: int
    rate: float
    clients: int = 20
    fresh: bool = False
    body: bytes = ROWS
    answered: int = 0
    lost: list[Lost] = field(default_factory=list)
    seen: Counter[bytes] = field(default_factory=Counter)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _all(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number: int) -> None:
        wire = request("/", self.body).replace(b"{host}", b"127.0.0.1:%d" % self.port)
        pause = self.clients / self.rate
        due = time.monotonic() + pause * number / self.clients
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self._stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + pause, time.monotonic() - 1.0)
            began = time.monotonic()
            if connection is not None and (connection[0].at_eof() or connection[0].exception() is not None):
                # Closed while it was idle, or reset where the worker had not read all: no request is lost by that.
                connection[1].close()
                connection = None
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
                answer = await exchange(*connection, wire)
                if answer.status != 200:
                    raise ValueError(f"{answer.status} {answer.body[:200]!r}")
                self.answered += 1
                self.seen[answer.body] += 1
                done = self.fresh or answer.head.get(b"connection") == b"close"
            except (OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
                self.lost.append(Lost(began, time.monotonic(), repr(error)))
                done = True
            if done and connection is not None:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()


def killed(pid: int) -> Killed:
    """Kill a worker and wait until it is gone, with all that it had open."""
    # Its first thread may be dead while others still hold the sockets open: this descriptor tells when all of them are.
    whole = os.pidfd_open(pid)
    try:
        asked = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        assert select.select([whole], [], [], 240)[0], "it does not die"
        return Killed(asked, time.monotonic())
    finally:
        os.close(whole)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


def descriptors(pid: int) -> int:
    """Open descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def wait_for(true: Callable[[], bool], seconds: float = 120.0, pause: float = 0.02) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
