"""Daemons of the lab: started in a control group and namespaces, apart from the process that starts them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import cgroups
from .building import programs
from .places import NAME, data, logs

_ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
"""Enter the control group in `$0` before the program begins, so that no process of it is ever outside."""


def environment() -> dict[str, str]:
    """Return the variables of every process of the lab. Those of the machine, such as proxies, do not reach it."""
    return {
        "PATH": f"{programs()}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(data()),
        "LANG": "C.UTF-8",
    }


def namespace(name: str) -> Path:
    """Return the file of one of the lab's network namespaces."""
    return Path("/run/netns") / f"{NAME}-{name}"


def inside(place: str) -> list[str]:
    """Return the words that run a command in the control plane (`cp`) or in a node (`n1`)."""
    command = ["nsenter", f"--net={namespace(place)}"]
    if place == "cp":
        return command
    return [*command, f"--mount=/proc/{holder(place)}/ns/mnt"]


def start(name: str, place: str, command: Sequence[str | Path]) -> None:
    """Start a daemon in the control plane or in a node. Its output goes to a file in `logs()`."""
    launch(name, [*inside(place), *map(str, command)])


def launch(name: str, command: Sequence[str]) -> None:
    """Start a command in a control group and a session of its own, with the init process as its parent."""
    group = cgroups.make_daemon(name)
    with (logs() / f"{name}.log").open("ab") as output:
        subprocess.run(
            ["sh", "-c", _ENTER, str(group), "setsid", "--fork", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
            env=environment(),
            cwd="/",
        )


def is_running(name: str) -> bool:
    """Tell whether a daemon has a process."""
    return bool(cgroups.daemons().get(name))


def main_process(name: str) -> int:
    """Return the process of a daemon itself, without those that it started."""
    mine = cgroups.daemons().get(name, [])
    oldest = [process for process in mine if _parent(process) not in mine]
    if not oldest:
        raise RuntimeError(f"{name} does not run; see {logs() / name}.log")
    # Shims leave their parent, but containerd was there before them.
    return min(oldest, key=_began)


def _stat(process: int) -> list[str]:
    """Return the fields of a process's state after its name."""
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()


def _parent(process: int) -> int:
    """Return the parent of a process."""
    return int(_stat(process)[1])


def _began(process: int) -> int:
    """Return the time at which a process began, in ticks since the machine started."""
    return int(_stat(process)[19])


def holder(node: str) -> int:
    """Return the process that holds the mount namespace of a node."""
    return main_process(f"mounts-{node}")


def stop(name: str) -> None:
    """Kill a daemon and all that it started."""
    group = cgroups.tracking() / NAME / "daemons" / name
    cgroups.kill(group)
    cgroups.remove(group)


def pause(name: str) -> None:
    """Let a daemon do nothing until it is resumed. Its connections stay open."""
    os.kill(main_process(name), signal.SIGSTOP)


def resume(name: str) -> None:
    """Let a daemon that was paused go on."""
    os.kill(main_process(name), signal.SIGCONT)


def wait(what: str, is_true: Callable[[], bool], *, seconds: float = 120.0, daemon: str = "") -> None:
    """Wait until something is true. End early with the end of the log if the daemon it depends on has ended."""
    give_up = time.monotonic() + seconds
    while not is_true():
        if daemon and not is_running(daemon):
            raise RuntimeError(f"{daemon} ended before {what}; the end of its log:\n{tail(daemon)}")
        if time.monotonic() > give_up:
            end = f"; the end of the log of {daemon}:\n{tail(daemon)}" if daemon else ""
            raise RuntimeError(f"no {what} within {seconds:.0f} s{end}")
        time.sleep(0.05)


def tail(daemon: str) -> str:
    """Return the last lines of a daemon's log."""
    text = (logs() / f"{daemon}.log").read_text("utf-8", "replace")
    return "\n".join(text.splitlines()[-10:])


def run(command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the lab to its end, and raise with its output if it fails.

    It has a control group as well, so that nothing works on a lab whose bringing up was killed.
    """
    group = cgroups.make_daemon("commands")
    done = subprocess.run(
        ["sh", "-c", _ENTER, str(group), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        **options,  # type: ignore[call-overload]
    )
    if done.returncode:
        words = " ".join(os.path.basename(str(word)) for word in command[:4])
        raise RuntimeError(
            f"`{words} …` failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done
