"""A process of the model server for its supervisor, which starts it or takes it over, asks it, drains it and ends it.

A worker lives in a session of its own and survives its supervisor. Files beside it have everything that is needed to find it
again. Must not know the order of revisions or which worker should live.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import msgspec

from fairway import confined
from fairway.spec.decoding import UNREADABLE
from fairway.spec.endpoint import WorkerSpec
from fairway.spec.errors import StorageError

_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.25
_BEAT_SECONDS = 5.0
_SILENT_SECONDS = 30.0
"""A worker that does not answer for this long is hung. Its clients have lost their requests by then."""

_WORDS_SECONDS, _WORDS_POLL_SECONDS = 1.0, 0.005
"""Seconds to wait for the last output of a worker. It is bounded, because a program of the worker may write for ever."""

_TAIL = 4096
_NAME = 20
_TRACEBACK = "Traceback (most recent call last):"
_OURS = "FAIRWAY_"


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status that a worker reports."""

    phase: str
    pid: int
    samples: str = ""
    runtime: str = ""
    reason: str = ""
    in_flight: int = 0


class Worker:
    """A worker process and the files beside it.

    Args:
        path: the file with its `WorkerSpec`. Its log and process id lie beside it under the same name.
        sockets: the folder of its control socket.
        ended: called once when the process has ended.
    """

    def __init__(
        self, path: Path, spec: WorkerSpec, pid: int, sockets: Path, ended: "Callable[[Worker], None]"
    ) -> None:
        self.path = path
        self._root = _store_of(path)
        self.control = str(sockets / control_name(path))
        self.spec = spec
        self.pid = pid
        self.ready = False
        self.status: WorkerStatus | None = None
        self.gone = asyncio.Event()
        self.verdict = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = ended
        self._over = False
        self._fd = -1
        self._loop = asyncio.get_running_loop()

    @property
    def revision(self) -> int:
        """Number of the revision that it serves."""
        return self.spec.revision.number

    @property
    def port(self) -> int:
        """Port on which it listens."""
        return listened(self.spec)

    @property
    def log(self) -> Path:
        """Path of its log."""
        return self.path.with_suffix(".log")

    @classmethod
    def start(
        cls,
        path: Path,
        spec: WorkerSpec,
        listening: socket.socket,
        sockets: Path,
        ended: "Callable[[Worker], None]",
    ) -> "Worker":
        """Start a worker on a listening socket."""
        confined.write_below(_store_of(path), str(path), msgspec.json.encode(spec))
        fd = listening.fileno()
        environment = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        environment["PYTHONUNBUFFERED"] = "1"
        command = [
            sys.executable,
            "-P",
            "-m",
            "fairway.server",
            str(path),
            "--fd",
            str(fd),
            "--sockets",
            str(sockets),
        ]
        log_fd = confined.open_below(
            _store_of(path), str(path.with_suffix(".log")), os.O_WRONLY | os.O_APPEND | os.O_CREAT
        )
        with open(log_fd, "ab", buffering=0) as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(fd,),
                start_new_session=True,
                env=environment,
                cwd=Path(spec.store).parent,
            )
        worker = cls(path, spec, child.pid, sockets, ended)
        worker._child = child
        confined.write_below(_store_of(path), str(path.with_suffix(".pid")), str(child.pid).encode())
        worker.watch()
        return worker

    def watch(self) -> None:
        """Begin to watch the process, so that its end is noticed."""
        if hasattr(os, "pidfd_open"):
            try:
                self._fd = os.pidfd_open(self.pid)
            except ProcessLookupError:
                self._loop.call_soon(self._end)
                return
            except OSError:
                self._fd = -1
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._end)
        else:
            self._loop.call_later(_POLL_SECONDS, self._poll)

    async def ask(self, command: str) -> WorkerStatus | None:
        """Send "status" or "drain" and return the answer; None without one."""
        status = await ask(self.control, command)
        if status is not None:
            self.status = status
        return status

    async def hung(self) -> bool:
        """Ask the worker again and again. Return true once it has been silent for too long, false once it has ended."""
        heard = self._loop.time()
        while not await self.left(_BEAT_SECONDS):
            if await self.ask("status") is not None:
                heard = self._loop.time()
            elif self._loop.time() - heard > _SILENT_SECONDS:
                self.verdict = f"it did not answer for {_SILENT_SECONDS:.0f} seconds and was ended"
                return not self.gone.is_set()
        return False

    async def drain(self) -> None:
        """Let the worker finish its requests and end."""
        self.ready = False
        if await self.ask("drain") is None:
            self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal unless the process has ended."""
        if self._over:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._fd >= 0 and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(self._fd, number)
            else:
                os.kill(self.pid, number)

    async def left(self, seconds: float) -> bool:
        """Wait for the end of the process. Return false if it has not ended within the given seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return False
        return True

    def how(self) -> str:
        """Describe how the process ended, with its last line of output. Call it after the end."""
        if self.verdict:
            return self.verdict
        code = self._child.returncode if self._child is not None else None
        words = last_words(Path(self._root), self.log)
        if code is not None and code < 0:
            said = f"it was ended by {signal.Signals(-code).name}"
            return f"{said}, its last words: {words}" if words else said
        return words or (f"it ended with status {code}" if code is not None else "it ended")

    def forget(self, *, log: bool) -> None:
        """Remove the files of the worker."""
        Path(self.control).unlink(missing_ok=True)
        forget_beside(self.path, log=log)

    def unwatch(self) -> None:
        """Stop watching a process that continues without a supervisor."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _poll(self) -> None:
        if self._alive():
            self._loop.call_later(_POLL_SECONDS, self._poll)
        else:
            self._end()

    def _alive(self) -> bool:
        return self._child.poll() is None if self._child is not None else is_alive(self.pid)

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self.unwatch()
        if self._child is not None:
            self._child.wait()
        self.ready = False
        self._settle(self._loop.time() + _WORDS_SECONDS)

    def _settle(self, deadline: float) -> None:
        """Wait until the last output of an ended process is in its log, then report its end."""
        if _is_written(self.log) and self._loop.time() < deadline:
            self._loop.call_later(_WORDS_POLL_SECONDS, self._settle, deadline)
            return
        self.gone.set()
        self._ended(self)


def _store_of(path: Path) -> str:
    """Return the root of the store of a worker's file, which is `endpoints/NAME/rREVISION/wNUMBER.json` below it."""
    return str(path.parents[3])


def forget_beside(path: Path, *, log: bool) -> None:
    """Remove the file of a worker and those beside it. With a link on the way to them, they stay."""
    for suffix in (".json", ".pid", *((".log",) if log else ())):
        with contextlib.suppress(StorageError):
            confined.remove_below(_store_of(path), str(path.with_suffix(suffix)))


def control_name(path: Path) -> str:
    """Return the name of a worker's control socket. It comes from the path of its file, because the content could lie."""
    name, revision, number = unquote(path.parent.parent.name), path.parent.name[1:], path.stem[1:]
    safe = "".join(letter for letter in name if letter.isascii() and letter.isalnum())[:_NAME]
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}-{revision}-{number}"


def read_spec(path: Path) -> WorkerSpec | None:
    """Read the instructions of a worker; None if the file is not valid or does not fit the endpoint and revision in its path."""
    try:
        spec = msgspec.json.decode(confined.read_below(_store_of(path), str(path)), type=WorkerSpec)
    except (OSError, StorageError, *UNREADABLE):
        return None
    revision = spec.revision
    same = revision.endpoint == unquote(path.parent.parent.name) and f"r{revision.number}" == path.parent.name
    return spec if same else None


async def ask(control: str, command: str) -> WorkerStatus | None:
    """Send "status" or "drain" to a control socket and return the answer; None without one."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(control)
            try:
                writer.write(msgspec.json.encode({"do": command}) + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
        return msgspec.json.decode(line, type=WorkerStatus)
    except (OSError, TimeoutError, *UNREADABLE):
        return None


def listened(spec: WorkerSpec) -> int:
    """Return the port of a worker, which is part of the Host that it accepts."""
    return int(spec.hosts[0].rpartition(":")[2]) if spec.hosts else 0


async def adopt(path: Path, sockets: Path, ended: Callable[[Worker], None]) -> Worker | None:
    """Take over a living worker by its files. If none answers, remove the files and return None."""
    spec = read_spec(path)
    if spec is None:
        with contextlib.suppress(StorageError):
            confined.remove_below(_store_of(path), str(path))
        return None
    pid = await asyncio.to_thread(_listener, str(sockets / control_name(path)))
    worker = Worker(path, spec, pid, sockets, ended)
    status = await worker.ask("status") if pid else None
    if status is None:
        await _end_mute(path)
        worker.forget(log=False)
        return None
    worker.pid = pid
    worker.ready = status.phase == "ready"
    worker.watch()
    return worker


def take_socket(worker: Worker) -> socket.socket | None:
    """Ask a living worker for its listening socket; None if it does not hand it over."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(worker.control)
            connection.sendall(b'{"do":"socket"}\n')
            _, fds, _, _ = socket.recv_fds(connection, _TAIL, 1)
    except OSError:
        return None
    if not fds:
        return None
    listening = socket.socket(fileno=fds[0])
    listening.set_inheritable(False)
    return listening


def _is_written(log: Path) -> bool:
    """Tell whether the process that passes a worker's output on still has something to write."""
    try:
        with open(confined.open_below(_store_of(log), str(log)), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, StorageError):
        return False
    return False


def last_words(root: Path, log: Path) -> str:
    """Return the last line that a process of a store printed, without "error: "."""
    try:
        with open(confined.open_below(str(root), str(log)), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except (OSError, StorageError):
        return ""
    words = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return words.removeprefix("error: ")[:500]


def last_traceback(log: Path) -> str:
    """Return the traceback at the end of a log, as far as it is near the end; empty without one."""
    try:
        with open(confined.open_below(_store_of(log), str(log)), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4 * _TAIL))
            text = file.read().decode(errors="replace")
    except (OSError, StorageError):
        return ""
    _, found, rest = text.partition(_TRACEBACK)
    return (found + rest.rpartition("\nerror: ")[0]).rstrip() if found else ""


def is_alive(pid: int) -> bool:
    """Tell whether a process is alive. A zombie does not count if the system lets it be recognised."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        # On a system with /proc, a process without an entry has just ended.
        return not Path("/proc/self").exists()
    return text.rpartition(")")[2].split()[:1] != ["Z"]


def _listener(path: str) -> int:
    """Return the id of the process that listens on a Unix socket; 0 if there is none or the system does not know it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(path)
            if hasattr(socket, "SO_PEERCRED"):
                size = struct.calcsize("3i")
                pid, uid, _ = struct.unpack(
                    "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
                )
                return pid if uid == os.getuid() else 0
            connection.sendall(b'{"do":"status"}\n')
            return msgspec.json.decode(connection.recv(_TAIL), type=WorkerStatus).pid
    except (OSError, *UNREADABLE):
        return 0


async def _end_mute(path: Path) -> None:
    """End a worker that lives and does not answer. Do nothing if its process id belongs to another process by now."""
    try:
        pid = int(confined.read_below(_store_of(path), str(path.with_suffix(".pid")), 20))
    except (OSError, StorageError, ValueError):
        return
    for number, seconds in ((signal.SIGTERM, _ANSWER_SECONDS), (signal.SIGKILL, _ANSWER_SECONDS)):
        if not _is_worker(pid, path):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)


def _is_worker(pid: int, path: Path) -> bool:
    if not is_alive(pid):
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        listed = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
        command = listed.stdout
    return os.fsencode(path) in command
