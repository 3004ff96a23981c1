"""What a disk may hold after the power was lost, made from the system calls of a program.

A file's content is sure up to its last sync; of what was written after that, any part may be there, in whole sectors. A name
is sure once its folder was synced, or the file itself after it got the name, as journaling file systems have it; of the
changes of names after that, a first part in their order is there. What is in memory maps, such as SQLite's `-shm`, counts as
never written.
"""

import os
import random
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tracing import STRACE

SECTOR = 512
_CALLS = (
    "openat,write,writev,pwrite64,fsync,fdatasync,rename,renameat,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "ftruncate,close,lseek,fcntl,symlink"
)
_LINE = re.compile(r"^(\d+) +(.*)$")
_DONE = re.compile(r"^(\w+)\((.*)\) += (-?\d+)")
_BEGUN = re.compile(r"^(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)")
_PATH = re.compile(r'(?:(\d+|AT_FDCWD), )?""')
"""A path among the arguments, with the descriptor of the folder that it is in."""
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
SYNCS = ("fsync", "fdatasync")


@dataclass
class Call:
    """One system call that succeeded."""

    name: str
    texts: list[bytes]
    numbers: list[int]
    result: int
    arguments: str


def traced(command: list[str], log: Path) -> list[Call]:
    """Run a program to its end and give its calls in order; a sync counts when it is over, all else when it begins."""
    subprocess.run(
        [
            STRACE or "strace",
            *("-f", "-qq", "-xx", "-s", "1000000", "-e", "signal=none", "-e", f"trace={_CALLS}", "-o", str(log)),
            *command,
        ],
        capture_output=True, check=True, timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    calls: list[Call] = []
    waiting: dict[str, tuple[Call, int]] = {}
    for line in log.read_text().splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, said = found[1], found[2]
        if begun := _BEGUN.match(said):
            call = _call(begun[1], begun[2], 0)
            waiting[thread] = (call, len(calls))
            if call.name not in SYNCS:
                calls.append(call)
        elif (resumed := _RESUMED.match(said)) and thread in waiting:
            call, _ = waiting.pop(thread)
            call.result = int(resumed[3])
            if call.name in SYNCS:
                calls.append(call)
        elif done := _DONE.match(said):
            calls.append(_call(done[1], done[2], int(done[3])))
    return [call for call in calls if call.result >= 0]


def _call(name: str, arguments: str, result: int) -> Call:
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(arguments)]
    plain = _STRING.sub('""', arguments)
    numbers = [int(number) for number in re.findall(r"(?<![\w\"])-?\d+(?!\w)", plain)]
    return Call(name, texts, numbers, result, plain)


@dataclass
class File:
    """Content by what is sure and what may be."""

    sure: bytearray = field(default_factory=bytearray)
    maybe: list[tuple[int, bytes | None]] = field(default_factory=list[tuple[int, bytes | None]])
    """Writes since the last sync: place and bytes, or a new length and None."""

    def sync(self) -> None:
        for place, data in self.maybe:
            _apply(self.sure, place, data)
        self.maybe.clear()

    def whole(self) -> bytearray:
        """As processes see it."""
        content = bytearray(self.sure)
        for place, data in self.maybe:
            _apply(content, place, data)
        return content

    def image(self, rng: random.Random) -> bytes:
        """What may be found: all that is sure, and of the rest some, torn at sectors."""
        content = bytearray(self.sure)
        style = rng.random()
        for place, data in self.maybe:
            if style < 0.3 or (style < 0.9 and rng.random() < 0.5):
                continue
            if data is not None and rng.random() < 0.3:
                keep = rng.randrange(0, len(data) + 1, SECTOR) if len(data) >= SECTOR else len(data)
                data = data[:keep]
            _apply(content, place, data)
        return bytes(content)


def _apply(content: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        del content[place:]
        content.extend(bytes(place - len(content)))
    else:
        content.extend(bytes(max(0, place - len(content))))
        content[place : place + len(data)] = data


class Disk:
    """Everything below one folder, as calls change it."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._open: dict[int, tuple[str, File | None, int]] = {}
        self.names: dict[str, File | None] = {}
        self._sure: dict[str, File | None] = {}
        self._changes: list[tuple[str, File | None, bool]] = []
        """Names that came (True) or went since they were last sure."""

    def take(self, call: Call) -> None:
        """Let a call happen."""
        paths = self._paths(call)
        path = paths[0] if paths else ""
        match call.name.removesuffix("at") if call.name != "openat" else call.name:
            case "openat":
                self._opened(path, call)
            case "close":
                self._open.pop(call.numbers[0], None)
            case "write" | "writev" | "pwrite64":
                self._written(call)
            case "ftruncate":
                file = self._file(call)
                if file is not None:
                    file.maybe.append((call.numbers[1], None))
            case "lseek":
                if call.numbers[0] in self._open:
                    name, file, _ = self._open[call.numbers[0]]
                    self._open[call.numbers[0]] = (name, file, call.result)
            case "fsync" | "fdatasync":
                self._synced(call.numbers[0])
            case "rename" | "link":
                self._moved(path, paths[1], gone=call.name.startswith("rename"))
            case "unlink" | "rmdir":
                self._change(path, None, there=False)
            case "mkdir":
                self._change(path, None, there=True)
            case _:
                pass

    def image(self, folder: Path, rng: random.Random) -> None:
        """Lay out what may be found after the power was lost now."""
        names = dict(self._sure)
        for name, file, there in self._changes[: rng.randrange(len(self._changes) + 1)]:
            if there:
                names[name] = file
            else:
                names.pop(name, None)
        contents: dict[int, bytes] = {}
        for name in sorted(names):
            file = names[name]
            place = folder / os.path.relpath(name, os.path.dirname(self._root))
            if file is None:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if id(file) not in contents:
                contents[id(file)] = file.image(rng)
            place.write_bytes(contents[id(file)])

    def _paths(self, call: Call) -> list[str]:
        """The paths of a call; those in a folder that is open are found by its descriptor."""
        found: list[str] = []
        for text, place in zip(call.texts, _PATH.finditer(call.arguments), strict=False):
            path, folder = text.decode("utf-8", "replace"), place[1] or ""
            if folder.isdigit() and not path.startswith("/"):
                path = os.path.join(self._open.get(int(folder), ("/elsewhere", None, 0))[0], path)
            found.append(os.path.normpath(path))
        return found

    def _ours(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root + "/")

    def _opened(self, path: str, call: Call) -> None:
        if not self._ours(path) or path.endswith("-shm"):
            self._open.pop(call.result, None)
            return
        if "O_CREAT" in call.arguments and path not in self.names:
            self._change(path, File(), there=True)
        file = self.names.get(path)
        if file is not None and "O_TRUNC" in call.arguments:
            file.maybe.append((0, None))
        self._open[call.result] = (path, file, 0)

    def _file(self, call: Call) -> File | None:
        return self._open.get(call.numbers[0], ("", None, 0))[1]

    def _written(self, call: Call) -> None:
        fd = call.numbers[0]
        name, file, place = self._open.get(fd, ("", None, 0))
        if file is None:
            return
        data = b"".join(call.texts)[: call.result or None]
        if call.name == "pwrite64":
            file.maybe.append((call.numbers[-1], data))
        else:
            file.maybe.append((place, data))
            self._open[fd] = (name, file, place + len(data))

    def _synced(self, fd: int) -> None:
        path, file, _ = self._open.get(fd, ("", None, 0))
        if file is not None:
            file.sync()
            self._settle(
                max((at for at, change in enumerate(self._changes) if change[1] is file), default=-1)
            )
        elif path:
            inside = [at for at, change in enumerate(self._changes) if os.path.dirname(change[0]) == path]
            self._settle(max(inside, default=-1))

    def _settle(self, last: int) -> None:
        """A journal keeps the order: what came before a change that is sure is sure."""
        for name, file, there in self._changes[: last + 1]:
            if there:
                self._sure[name] = file
            else:
                self._sure.pop(name, None)
        del self._changes[: last + 1]

    def _moved(self, old: str, new: str, *, gone: bool) -> None:
        if old not in self.names or not self._ours(new):
            return
        self._change(new, self.names[old], there=True)
        if gone:
            self._change(old, None, there=False)

    def _change(self, path: str, file: File | None, *, there: bool) -> None:
        if not self._ours(path):
            return
        if there:
            self.names[path] = file
        else:
            self.names.pop(path, None)
        self._changes.append((path, file, there))
