"""The command `python -m fairway.runner.pod`, the first process of a pod that is a host.

It asks the control plane over a link for its orders, starts the same host as on a laptop, and passes the messages of the
two on. A broken link ends nothing. It reaps the processes that lose their parent. It exits with status 0 only when it was
told to quit, and with 143 after a SIGTERM, so that an evicted pod never looks like one that has succeeded.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what the imports below make stays, and looking through it finds nothing to free

import argparse
import contextlib
import json
import os
import platform
import queue
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fairway.author import secret_names
from fairway.runner import pod_code
from fairway.runner.pod_forking import start_host
from fairway.runner.pod_host import HostEnd, PodHost
from fairway.runner.pod_link import Attempts, PodLink
from fairway.runner.pod_memory import ControlGroup
from fairway.runner.pod_output import HostOutput
from fairway.runner.pod_positions import Positions
from fairway.runner.pod_scratch import Scratch
from fairway.spec import VERSION
from fairway.spec.errors import FairwayError
from fairway.spec.host import HostSetup, ProjectCode, StorePlace
from fairway.spec.link import (
    Dismiss,
    Draining,
    Facts,
    HostEnded,
    Message,
    Note,
    Orders,
    Passed,
    Refused,
    Welcome,
)
from fairway.spec.wire import Start, decode_to_host

EXIT_TERMINATED = 143
EXIT_REFUSED = 77
_LOOK_SECONDS = 0.5
_REPORT_SECONDS = 60.0
"""Seconds that the pod waits for a control plane that takes the report of the host's end."""
_LAST_SECONDS = 5.0
"""Seconds that the pod waits for it after a SIGTERM. More are not left before the pod is killed."""
_MOST_LAST_WORDS = 4000
_NEVER = "it was not started"


class Settings(argparse.Namespace):
    """The options of the command.

    Attributes:
        plane: host and port of the control plane's links.
        api: the address of its API, for the store.
        name: the name of this host.
        token: the file with the token of the pod.
        root: the folder for code, credential and store.
        scratch: the folders for temporary files, which are emptied when no attempt runs.
        grace: seconds that attempts have to end after a SIGTERM.
        last_words: the file for the message that Kubernetes keeps of a pod that ended.
    """

    plane: str
    api: str
    name: str
    token: Path
    root: Path
    scratch: list[Path]
    grace: float
    last_words: Path


class Pod:
    """The first process of a pod: a link, and a host once there are orders."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._group = ControlGroup()
        self._positions = Positions(settings.name)
        host, _, port = settings.plane.rpartition(":")
        self._link = PodLink((host, int(port)), settings.name, settings.token, self._facts(), self._selector)
        self._link.receive = self._receive
        self._link.welcome = self._welcome
        self._link.refuse = self._refused
        self._link.attempts = self._attempts
        self._host: PodHost | None = None
        self._orders: Orders | None = None
        self._early: list[bytes] = []
        self._fetching: threading.Thread | None = None
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake, self._wakes = socket.socketpair()
        self._dismissed = self._terminated = False
        self._report: HostEnded | None = None
        self._status: int | None = None
        self._stop_at = self._leave_at = 0.0

    def run(self) -> int:
        """Serve until the end and return the exit status."""
        self._watch_signals()
        # Before the first wait, because a pod that is not connected hears nothing that could end it.
        self._look()
        while self._status is None:
            for key, _ in self._selector.select(_LOOK_SECONDS):
                key.data()
            self._look()
        return self._status

    def _facts(self) -> Facts:
        from_outside = os.environ.get
        return Facts(
            version=VERSION,
            python=platform.python_version(),
            address=from_outside("POD_IP", ""),
            node=from_outside("NODE_NAME", ""),
            memory=self._group.limit(),
            cpu=self._group.cpu(),
        )

    def _watch_signals(self) -> None:
        for end in (self._wake, self._wakes):
            end.setblocking(False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)

    def _signalled(self, number: int, frame: object) -> None:
        if number != signal.SIGCHLD:
            self._terminated = True

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass
        with contextlib.suppress(queue.Empty):
            while True:
                self._done.get_nowait()()
        self._reap()

    def _reap(self) -> None:
        """Collect the processes that ended. The end of the host is only noted: `PodHost.end` collects it."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if self._host is not None and found.si_pid == self._host.pid and self._host.ended is None:
                exited = found.si_code == os.CLD_EXITED
                code, name = (found.si_status, "") if exited else (0, _name(found.si_status))
                self._host.died(code, name)
                self._host.look()
            else:
                os.waitpid(found.si_pid, 0)

    def _welcome(self, welcome: Welcome) -> list[Message]:
        """Begin with the orders of the first welcome. Return what a new control plane needs of a host that lives already."""
        orders = welcome.orders
        pod_code.keep_credential(self._settings.root / "credential", orders.credential)
        if self._orders is None:
            self._orders = orders
            self._aside(lambda: pod_code.fetch(orders, self._store(orders), self._settings.root / "code"))
        if self._host is None:
            return []
        again: list[Message] = [Passed(content) for content in self._host.kept]
        return again if self._report is None else [*again, self._report]

    def _attempts(self) -> tuple[Attempts, Attempts]:
        """Return the attempts that this pod was told to start, those that run and those that have ended."""
        if self._host is not None:
            return self._host.running, self._host.finished
        orders = map(decode_to_host, self._early)
        return tuple((order.step, order.attempt) for order in orders if isinstance(order, Start)), ()

    def _store(self, orders: Orders) -> StorePlace:
        root = self._settings.root
        return StorePlace(
            orders.store or f"relay:{self._settings.api}|{root / 'store'}|{root / 'credential'}"
        )

    def _aside(self, work: Callable[[], Path]) -> None:
        """Carry out work in a thread, so that the link is answered meanwhile. Start the host with the file that it returns."""

        def carry() -> None:
            try:
                path = work()
            except (FairwayError, OSError) as error:
                text = f"the code of the run could not be fetched: {error}"
                self._done.put(lambda: self._cannot_begin(text))
            else:
                self._done.put(lambda: self._start(path))
            self._wakes.send(b"x")

        self._fetching = threading.Thread(target=carry, daemon=True)
        self._fetching.start()

    def _start(self, file: Path) -> None:
        orders = self._orders
        assert orders is not None
        assert self._fetching is not None
        # It has nothing left to do, and a fork needs a process of one thread.
        self._fetching.join()
        code = ProjectCode(str(file), orders.module)
        if orders.bundle:
            # A relative path in the project's code means the same as in its folder on the laptop.
            os.chdir(self._settings.root / "code" / orders.bundle)
        try:
            setup = HostSetup(self._store(orders), code, foreign=orders.foreign, keeps=True)
            launched = start_host(setup)
        except FairwayError as error:
            self._cannot_begin(str(error))
            return
        output = HostOutput(lambda data: self._link.send(Note(data)), _secret_names(file.parent))
        self._host = PodHost(
            launched, self._selector, self._group, self._scratch(orders), self._passed, output.write
        )
        for content in self._early:
            self._host.write(content)
        self._early.clear()

    def _scratch(self, orders: Orders) -> Scratch:
        root = self._settings.root
        code = root / "code"
        return Scratch(
            self._settings.scratch,
            code / orders.bundle if orders.bundle else None,
            root / "store",
            lambda paths: pod_code.restore(orders, self._store(orders), code, paths),
        )

    def _cannot_begin(self, text: str) -> None:
        self._send_report(HostEnded(code=1, text=text))

    def _passed(self, content: bytes) -> None:
        self._link.send(Passed(self._positions.with_position(content)))

    def _receive(self, message: Message) -> None:
        if isinstance(message, Dismiss):
            self._dismissed = True
        elif isinstance(message, Passed):
            if self._host is not None:
                self._host.write(message.content)
            else:
                self._early.append(message.content)

    def _refused(self, refused: Refused) -> None:
        """End the host at once, because another attempt may have taken its place."""
        if self._host is not None:
            self._host.end()
        if self._report is not None:
            # It has ended before, and the control plane that refuses it knows that.
            self._leave(self._exit_status(self._report), {"host": self._report.text})
        self._leave(EXIT_REFUSED, {"refused": refused.message})

    def _look(self) -> None:
        """Do what is due."""
        self._link.look()
        host = self._host
        if host is not None:
            host.pause(paused=self._link.session.full)
            host.look()
        if self._dismissed:
            self._end_host()
        elif self._terminated:
            self._drain()
        if host is not None and host.ended is not None and self._report is None:
            self._send_report(self._report_of(host, host.ended))
        if self._report is not None and (self._link.session.settled or time.monotonic() > self._leave_at):
            words = {"host": self._report.text, "out_of_memory": self._report.out_of_memory}
            self._leave(self._exit_status(self._report), words)

    def _end_host(self) -> None:
        if self._host is not None:
            self._host.quit()
        elif self._report is None:
            self._send_report(HostEnded(text=_NEVER, dismissed=True))

    def _drain(self) -> None:
        """End the attempts, then the host. The time for it is short: the system kills the pod soon."""
        now = time.monotonic()
        host = self._host
        if host is None:
            self._leave(EXIT_TERMINATED, {"host": _NEVER})
        elif not self._stop_at:
            self._stop_at = now + self._settings.grace
            self._link.send(Draining())
            host.stop_all(self._settings.grace)
        elif host.is_idle or now > self._stop_at:
            host.quit()
        if self._report is not None:
            self._leave_at = min(self._leave_at, now + _LAST_SECONDS)

    def _report_of(self, host: PodHost, end: HostEnd) -> HostEnded:
        return HostEnded(
            code=end.code,
            signal=end.signal,
            text=end.text,
            out_of_memory=host.out_of_memory,
            peak=host.peak,
            limit=self._group.limit(),
            drained=self._terminated,
            dismissed=self._dismissed,
        )

    def _send_report(self, report: HostEnded) -> None:
        self._report = report
        self._leave_at = time.monotonic() + _REPORT_SECONDS
        self._link.send(report)

    def _exit_status(self, report: HostEnded) -> int:
        if self._dismissed:
            return 0
        if self._terminated:
            return EXIT_TERMINATED
        if report.signal in signal.Signals.__members__:
            return 128 + signal.Signals[report.signal]
        return report.code or 1

    def _leave(self, status: int, words: Mapping[str, object]) -> None:
        """End this process, with a message that Kubernetes keeps."""
        if self._status is None:
            self._status = status
            with contextlib.suppress(OSError):
                self._settings.last_words.write_text(json.dumps(dict(words))[:_MOST_LAST_WORDS])


def _secret_names(folder: Path) -> tuple[str, ...]:
    """Return the names of secrets that a project has of its own. The host reports an error in them."""
    try:
        return tuple(secret_names.read(folder))
    except FairwayError:
        return ()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # A real-time signal has no name of its own.
        return f"signal {number}"


def _scratch_folders() -> list[Path]:
    """Return the folders for temporary files if they belong to this process alone, as the first one of a container."""
    return [Path("/tmp"), Path("/dev/shm")] if os.getpid() == 1 else []


def _settings(words: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(
        prog="python -m fairway.runner.pod", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--plane", required=True, metavar="HOST:PORT")
    parser.add_argument("--api", default="", metavar="URL")
    parser.add_argument("--name", required=True)
    parser.add_argument("--token", type=Path, default=Path("/var/run/fairway/token"))
    parser.add_argument("--root", type=Path, default=Path("/fairway"))
    parser.add_argument("--scratch", type=Path, nargs="*", default=_scratch_folders())
    parser.add_argument("--grace", type=float, default=20.0)
    parser.add_argument("--last-words", type=Path, default=Path("/dev/termination-log"))
    return parser.parse_args(words, namespace=Settings())


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    os._exit(Pod(_settings(sys.argv[1:])).run())
