"""Marks a host and all that descends from it, and refuses to start a host or a platform where that might never end.

A project file that starts a run when it is imported would start a host, which imports the file, and so on. A descendant of
a host is known by two marks, and a program has to remove both to be taken for a stranger:

- the variable `FAIRWAY_HOST`, which names the hosts above it, the outermost first;
- the soft limit of the size of files. It stays far above any file, and its low bits are the mark. A process keeps it when
  its environment is emptied, when it leaves its session, and when its parents are gone.

This file loads next to nothing, because every start of a host needs it.
"""

import os
import sys

from fairway.spec.errors import UsageError

MARK = "FAIRWAY_HOST"
"""`a/b` in the host `b` of a run that a step of the run with the host `a` started; `a/b/` in steps of that host."""

MAX_DEPTH = 3
"""How many runs may be inside one another."""

_BASE = 1 << 62
_ID_BYTES = 6
_ID_SHIFT = 8
_LINE = b"Max file size"
_MUCH = 1 << 12
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_GUARD = 'put it under `if __name__ == "__main__":`, which is true for `python FILE` and false while Fairway imports FILE'


def standing() -> str:
    """The mark of this process in the form of `MARK`; empty when it descends from no host.

    The limit counts for more than the variable: a project may keep a copy of the environment that it was imported with
    and give it to a program that one of its steps starts.
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
    """Refuse what starts processes of ours, in a host and in all that a project starts while it is imported.

    Raises:
        UsageError: with the line of the user's code, where it is in this process.
    """
    here = standing()
    if not here or here.endswith("/"):
        return
    place = _caller()
    if place:
        raise UsageError(f"{place} calls {what} while Fairway imports the project", hint=_GUARD)
    raise UsageError(f"{what} was started by a project file while Fairway imports it", hint=_GUARD)


def refuse_in_step(what: str, hint: str = "start it before the run: `fairway up`") -> None:
    """Refuse what is to outlive the step that starts it. Raises UsageError."""
    refuse_at_import(what)
    if standing():
        raise UsageError(
            f"{what} cannot be started by a step, because all that a step starts ends with it",
            hint=hint,
        )


def next_mark() -> str:
    """The mark of a host that this process is about to start. Raises UsageError where it may not start one."""
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
    """Mark this process, and by that all that it starts from here on; an empty mark takes it away again."""
    if mark:
        os.environ[MARK] = mark
    else:
        os.environ.pop(MARK, None)
    _set_limit(mark)


def enter_step() -> None:
    """Say that this process, which carries the mark of its host, is at work in a step: it may start runs."""
    mark = standing()
    if mark and not mark.endswith("/"):
        enter(f"{mark}/")


class Marked:
    """Import a project in a process that is no host. What the project starts meanwhile is marked as a host's is, for good."""

    def __enter__(self) -> None:
        self._before = standing()
        enter(os.urandom(_ID_BYTES).hex())

    def __exit__(self, *_: object) -> None:
        enter(self._before)


def descends(pid: int, mark: str) -> bool:
    """Whether a process carries the mark of a host, or of one below it."""
    return f"{MARK}={mark}".encode() in _read(f"/proc/{pid}/environ") or (
        _id(_limit_in(_read(f"/proc/{pid}/limits"))) == mark.rpartition("/")[2]
    )


def _id(limit: int) -> str:
    return f"{(limit ^ _BASE) >> _ID_SHIFT:012x}" if limit else ""


def _own_limit() -> int:
    """The marked limit of this process; 0 when it is not marked."""
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
        return  # a limit that somebody has set stays
    wanted = _limit_of(mark) if mark else resource.RLIM_INFINITY
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted, hard))
    except (OSError, ValueError):
        return  # a hard limit may be lower: then the variable has to do


def _limit_of(mark: str) -> int:
    named = mark.rstrip("/")
    depth = named.count("/") + 1
    return _BASE | int(named.rpartition("/")[2], 16) << _ID_SHIFT | depth << 1 | mark.endswith("/")


def _caller() -> str:
    """File and line of the user's code that called us; empty in a program of our own."""
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
