"""The mark of a host and its descendants. A marked process may not start a host or a platform that could never end.

A project file that starts a run at import would start a host. The host imports the file, which starts a host, and so on. A
descendant of a host has two marks, and counts as one unless it removed both:

- the variable `FAIRWAY_HOST`, which names the hosts above it, the outermost first;
- the soft limit of the size of files. The limit stays far above the size of any file, and its low bits are the mark. A process
  keeps it when its environment is emptied, when it leaves its session, and when its parents have ended.

Every start of a host imports this file, so it imports almost nothing itself.
"""

import os
import sys
from collections.abc import Callable

from fairway.spec.errors import UsageError

MARK = "FAIRWAY_HOST"
"""The variable with the mark. If a step of host `a` starts host `b`, the mark is `a/b` in `b` and `a/b/` in its steps."""

MAX_DEPTH = 3
"""Maximum number of runs inside one another."""

_BASE = 1 << 62
_ID_BYTES = 6
_ID_SHIFT = 8
_LINE = b"Max file size"
_MUCH = 1 << 12
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_GUARD = 'put it under `if __name__ == "__main__":`, which is true for `python FILE` and false while Fairway imports FILE'


def standing() -> str:
    """Return the mark of this process in the form of `MARK`; empty if it does not descend from a host.

    The limit counts more than the variable. A project can keep a copy of the environment from its import, and give that to a
    program that a step starts.
    """
    named = os.environ.get(MARK, "")
    limit = _own_limit()
    if not limit:
        return named
    if named.rstrip("/").endswith(_id(limit)):
        return named.rstrip("/") + ("/" if limit & 1 else "")
    above = "/".join(["?"] * ((limit >> 1 & 0x7F) - 1) + [_id(limit)])
    return above + ("/" if limit & 1 else "")


def refuse_at_import(what: str) -> None:
    """Refuse to start a run or a server during the import of a project.

    Args:
        what: the refused call, for the message.

    Raises:
        UsageError: the project is being imported. The message has the line of the user's code, if it runs in this process.
    """
    here = standing()
    if not here or here.endswith("/"):
        return
    place = _caller()
    if place:
        raise UsageError(f"{place} calls {what} while Fairway imports the project", hint=_GUARD)
    raise UsageError(f"{what} was started by a project file while Fairway imports it", hint=_GUARD)


def refuse_in_step(what: str, hint: str = "start it before the run: `fairway up`") -> None:
    """Refuse to start a process inside a step that would outlive the step. Raises UsageError."""
    refuse_at_import(what)
    if standing():
        raise UsageError(
            f"{what} cannot be started by a step, because all that a step starts ends with it",
            hint=hint,
        )


def next_mark() -> str:
    """Return the mark for a host that this process will start. Raises UsageError if it may not start one."""
    refuse_at_import("a run")
    here = standing()
    if here.count("/") >= MAX_DEPTH:
        raise UsageError(
            f"this run would be inside {MAX_DEPTH} others, each started by a step of the one before; "
            f"at most {MAX_DEPTH} runs may be inside one another",
            hint="call the tasks in the outer pipeline, where they become its steps",
        )
    return here + os.urandom(_ID_BYTES).hex()


def enter(mark: str) -> None:
    """Put a mark on this process and on every process that it starts from now on. An empty mark removes it."""
    if mark:
        os.environ[MARK] = mark
    else:
        os.environ.pop(MARK, None)
    _set_limit(mark)


def enter_step() -> None:
    """Change the mark of this process from that of a host to that of a step. A step may start runs."""
    mark = standing()
    if mark and not mark.endswith("/"):
        enter(f"{mark}/")


def step_entry() -> Callable[[], None]:
    """Prepare `enter_step` in a host, once for all children that it forks; each of them calls what this returns.

    The variable already gets the mark of a step here. The host stays a host by its limit, which counts for more.
    """
    import resource

    mark = standing()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mark or mark.endswith("/") or not _marked(soft):
        return enter_step  # without the limit, only the variable tells a host from its steps
    mark = os.environ[MARK] = f"{mark}/"
    limits = (_limit_of(mark), hard)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class Marked:
    """A block that imports a project in a process that is not a host. Processes that the project starts in it keep the mark."""

    def __enter__(self) -> None:
        self._before = standing()
        enter(os.urandom(_ID_BYTES).hex())

    def __exit__(self, *_: object) -> None:
        enter(self._before)


def descends(pid: int, mark: str) -> bool:
    """Return true if a process has the mark of a host or of a host below it."""
    return f"{MARK}={mark}".encode() in _read(f"/proc/{pid}/environ") or (
        _id(_limit_in(_read(f"/proc/{pid}/limits"))) == mark.rpartition("/")[2]
    )


def _id(limit: int) -> str:
    return f"{(limit ^ _BASE) >> _ID_SHIFT:012x}" if limit else ""


def _own_limit() -> int:
    """Return the limit of this process if it has a mark; 0 otherwise."""
    limits = _read("/proc/self/limits", _MUCH)
    if limits or sys.platform == "linux":
        return _limit_in(limits)
    import resource

    return _marked(resource.getrlimit(resource.RLIMIT_FSIZE)[0])


def _limit_in(limits: bytes) -> int:
    _, found, rest = limits.partition(_LINE)
    soft = rest.split(None, 1)[0] if found else b""
    return _marked(int(soft)) if soft.isdigit() else 0


def _marked(soft: int) -> int:
    return soft if _BASE <= soft < _BASE << 1 and soft >> 1 & 0x7F else 0


def _set_limit(mark: str) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY and not _marked(soft):
        return  # a limit that a person has set must stay
    wanted = _limit_of(mark) if mark else resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted, hard))
    except (OSError, ValueError):
        return  # the hard limit is lower than the mark, so only the variable marks this process


def _limit_of(mark: str) -> int:
    named = mark.rstrip("/")
    depth = named.count("/") + 1
    return _BASE | int(named.rpartition("/")[2], 16) << _ID_SHIFT | depth << 1 | mark.endswith("/")


def _caller() -> str:
    """Return file and line of the user's code that called Fairway; empty in a program of Fairway."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<frozen ")):
            return f"{os.path.basename(file)}, line {frame.f_lineno},"
        frame = frame.f_back
    return ""


def _read(path: str, most: int = 1 << 20) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, most)
    except OSError:
        return b""
    finally:
        os.close(fd)
