"""The host of a pod is a fork of the pod's first process, and to the code of the user it is like a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairway.local import descent
from fairway.stores import Layout

if not sys.platform.startswith("linux"):
    pytest.skip("pods have Linux", allow_module_level=True)

PROGRAM = """
import os, signal, socket, sys, threading
from fairway.runner.pod_forking import start_host
from fairway.spec.host import HostSetup, ProjectCode, StorePlace

line, other = socket.socketpair()
other.setblocking(False)
signal.set_wakeup_fd(other.fileno())
for number in (signal.SIGCHLD, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
extra = [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
os.environ["FAIRWAY_TOKEN"] = "the platform's"
if sys.argv[3:] == ["thread"]:
    threading.Thread(target=lambda: open(os.pipe()[0]).read(), daemon=True).start()
launched = start_host(HostSetup(StorePlace(sys.argv[1]), ProjectCode(sys.argv[2], "")))
os.set_blocking(launched.output, True)
text = b""
while not text.endswith(b"\\n"):
    text += os.read(launched.output, 65536)
print(text.decode(), end="", flush=True)
if sys.argv[3:] == ["die"]:
    os._exit(9)
launched.connection.close()
print(os.waitstatus_to_exitcode(os.waitpid(launched.pid, 0)[1]))
"""

TEXT = """
import gc, json, os, signal, sys, threading, time
places = {name: "/proc/self/fd/" + name for name in os.listdir("/proc/self/fd")}
fds = {name: os.readlink(place) for name, place in places.items() if os.path.exists(place)}
print(json.dumps({
    "pid": os.getpid(),
    "fds": fds,
    "handlers": [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGCHLD, signal.SIGTERM)],
    "leads": os.getpgrp() == os.getpid(),
    "threads": threading.active_count(),
    "variables": dict(os.environ),
    "command": open("/proc/self/cmdline").read().split(chr(0)),
}))
"""


def forked(folder: Path, *more: str) -> tuple[dict[str, Any], list[str]]:
    """What a project sees at its import, and what the first process says afterwards."""
    Layout(folder / "store").prepare()
    (folder / "project.py").write_text(TEXT + ("time.sleep(600)\n" if "die" in more else ""))
    done = subprocess.run(
        [sys.executable, "-u", "-c", PROGRAM, folder / "store", folder / "project.py", *more],
        capture_output=True,
        text=True,
        timeout=60,
    )
    first, *rest = done.stdout.splitlines()
    return json.loads(first), rest


def test_it_has_nothing_open_of_the_first_process(tmp_path: Path) -> None:
    seen, _ = forked(tmp_path)
    kinds = {name: place.partition(":")[0] for name, place in seen["fds"].items()}
    assert {name: kinds.get(name) for name in "0123"} == {
        "0": "/dev/null",
        "1": "pipe",
        "2": "pipe",
        "3": "socket",
    }
    assert len([place for place in seen["fds"].values() if place == "/dev/null"]) == 1
    assert len([place for place in seen["fds"].values() if place.startswith("socket")]) == 1


def test_signals_end_it_as_they_end_every_program(tmp_path: Path) -> None:
    seen, _ = forked(tmp_path)
    assert seen["handlers"] == [True, True]
    assert (seen["leads"], seen["threads"]) == (True, 1)


def test_its_environment_is_that_of_a_host(tmp_path: Path) -> None:
    seen, _ = forked(tmp_path)
    assert seen["variables"][descent.MARK]
    assert (seen["variables"]["OMP_NUM_THREADS"], seen["variables"]["PYTHONUNBUFFERED"]) == ("1", "1")
    assert "FAIRWAY_TOKEN" not in seen["variables"]


def test_it_ends_when_its_line_is_closed(tmp_path: Path) -> None:
    _, rest = forked(tmp_path)
    assert rest == ["0"]


def test_it_dies_with_the_first_process_also_while_it_imports(tmp_path: Path) -> None:
    seen, _ = forked(tmp_path, "die")
    waited = subprocess.run(
        ["tail", f"--pid={seen['pid']}", "-f", "/dev/null"], timeout=30, capture_output=True
    )
    assert waited.returncode == 0


def test_it_is_a_new_interpreter_where_a_fork_could_inherit_a_lock(tmp_path: Path) -> None:
    assert "fairway.runner" not in forked(tmp_path)[0]["command"]
    seen, rest = forked(tmp_path, "thread")
    assert ("fairway.runner" in seen["command"], seen["threads"], rest[-1]) == (True, 1, "0")
