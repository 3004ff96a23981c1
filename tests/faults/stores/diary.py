"""A program that writes to a store and says what was acknowledged, and what may be complained of afterwards.

`python diary.py ROOT KINDS FIRST LAST [PLANTED]` does each kind of write for the numbers from FIRST to LAST. Whatever it
writes follows from kind and number, so that anybody can check it. A line on its output is an acknowledgement:
"blob 3". PLANTED names a mistake that it makes on purpose.
"""

import contextlib
import hashlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.errors import NotFound, StorageError
from fairway.spec.event import Event, RunStarted
from fairway.spec.run import RunSpec, StepResult
from fairway.stores import FileArtifacts, FileResults, Layout, blobs, connections, durable, unfinished
from fairway.stores.metadata import SqliteMetadata

KINDS = ("blob", "stream", "folder", "record", "event")


def text(kind: str, number: int) -> bytes:
    """Some kilobytes that no other kind and number have; some hundreds for a stream."""
    line = f"{kind} {number} of a diary\n".encode()
    return line * ((300_000 if kind == "stream" else 20_000) // len(line))


def folder_of(place: Path, number: int) -> Path:
    """A folder with two files."""
    folder = place / f"folder{number}"
    (folder / "inner").mkdir(parents=True, exist_ok=True)
    (folder / "first.txt").write_bytes(text("first", number))
    (folder / "inner" / "second.txt").write_bytes(text("second", number))
    return folder


def event(number: int) -> Event:
    """The start of a run, with parameters of ten kilobytes."""
    spec = RunSpec(
        name=f"r{number}", pipeline="p", project="/p.py", shown={"x": text("event", number)[:10_000].decode()}
    )
    return Event(body=RunStarted(spec), run=spec.name, time=1000.0 + number)


def record(number: int) -> StepResult:
    """What an attempt left, small values inside."""
    content = text("record", number)[:2000]
    inline = Artifact(
        format="json", digest=hashlib.sha256(content).hexdigest(), size=len(content), inline=content
    )
    return StepResult(run="r", step=f"s{number}", attempt=1, outputs=(inline,))


class Writer:
    """Does the writing."""

    def __init__(self, root: Path) -> None:
        Layout(root).prepare()
        self._root = root
        self._artifacts = FileArtifacts(root)
        self._results = FileResults(root)
        self._metadata: SqliteMetadata | None = None

    def write(self, kind: str, number: int) -> None:
        """Returns once it is acknowledged. Raises StorageError."""
        match kind:
            case "blob":
                self._artifacts.put_bytes(text(kind, number))
            case "stream":
                with self._artifacts.writer() as file:
                    whole = text(kind, number)
                    for place in range(0, len(whole), 70_000):
                        file.write(whole[place : place + 70_000])
            case "folder":
                self._artifacts.put_folder(self._root.parent / "folders" / f"folder{number}")
            case "record":
                self._results.commit(record(number))
            case _:
                self._metadata = self._metadata or SqliteMetadata(Layout(self._root))
                self._metadata.append([event(number)])

    def close(self) -> None:
        """End the thread that writes events."""
        if self._metadata is not None:
            self._metadata.close()


def place_in_full_view(self: FileArtifacts, made: unfinished.Unfinished, digest: str) -> None:
    """A planted mistake: the name first, and the content in two halves."""
    path = self._path(digest)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    whole = Path(self._blobs, "tmp", made.name).read_bytes()
    with open(path, "wb", buffering=0) as file:
        file.write(whole[: len(whole) // 2])
        file.write(whole[len(whole) // 2 :])
        os.fsync(made.fd)


PLANTED: dict[str, Callable[[], None]] = {
    "no atomic name": lambda: setattr(FileArtifacts, "_place", place_in_full_view),
    "no sync of files": lambda: setattr(blobs, "sync", leaving_out(folders=False)),
    "no sync of folders": lambda: setattr(blobs, "sync", leaving_out(folders=True)),
    "database not synced": lambda: setattr(
        connections, "_PRAGMAS", tuple(one.replace("FULL", "NORMAL") for one in connections._PRAGMAS)
    ),
    "errors are swallowed": lambda: setattr(Writer, "write", swallowing(Writer.write)),
    "early acknowledgement": lambda: None,
}
"""Mistakes by name."""


def leaving_out(*, folders: bool) -> Callable[[int, str], None]:
    """Return a sync that leaves out folders, or everything else."""
    sync = blobs.sync

    def some(fd: int, path: str) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode) is not folders:
            sync(fd, path)

    return some


def swallowing(write: Callable[[Writer, str, int], None]) -> Callable[[Writer, str, int], None]:
    """The same, but it says that all is well."""

    def quiet(self: Writer, kind: str, number: int) -> None:
        with contextlib.suppress(StorageError):
            write(self, kind, number)

    return quiet


def say(line: str) -> None:
    """Print a line by a system call that no store uses, so that making that of a store fail leaves this one alone."""
    os.writev(1, [f"{line}\n".encode()])


def main() -> None:
    """The program."""
    root, kinds, first, last = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])
    planted = sys.argv[5] if len(sys.argv) > 5 else ""
    if planted:
        PLANTED[planted]()
    durable._LARGE, durable._PIECE = 50_000, 30_000
    for number in range(first, last + 1) if "folder" in kinds else ():
        folder_of(root.parent / "folders", number)
    say("begin")
    try:
        writer = Writer(root)
        for number in range(first, last + 1):
            for kind in kinds:
                if planted == "early acknowledgement":
                    say(f"{kind} {number}")
                writer.write(kind, number)
                if planted != "early acknowledgement":
                    say(f"{kind} {number}")
        say("end")
        writer.close()
    except StorageError as error:
        os.write(2, f"error: {error.message}\nhint: {error.hint}\n".encode())
        os._exit(3)


def acknowledged(output: str) -> list[tuple[str, int]]:
    """What an output of the program acknowledges; a line cut short counts for nothing."""
    found: list[tuple[str, int]] = []
    for line in output.split("\n")[:-1]:
        kind, _, number = line.partition(" ")
        if number:
            found.append((kind, int(number)))
    return found


class Reader:
    """Looks at a store as a new process would."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._artifacts = FileArtifacts(root)
        self._results = FileResults(root)

    def complaints(self, known: list[tuple[str, int]]) -> list[str]:
        """What is missing of what was acknowledged, and what else is there and is not whole."""
        found = [f"{kind} {number}: {why}" for kind, number in known if (why := self._lacks(kind, number))]
        found += self._torn()
        with SqliteMetadata(Layout(self._root)) as metadata:
            found += metadata.verify().problems
            names = set(metadata.run_names())
            lost = [number for kind, number in known if kind == "event" and f"r{number}" not in names]
            found += [f"event {number} is lost" for number in lost]
            for name in names:
                body = event(int(name[1:])).body
                try:
                    whole = isinstance(body, RunStarted) and metadata.run(name).spec == body.spec
                except NotFound:  # its name is in the list, and its row is not to be found
                    whole = False
                if not whole:
                    found.append(f"event of {name} is not as it was written")
        return found

    def _lacks(self, kind: str, number: int) -> str:
        try:
            if kind in ("blob", "stream"):
                whole = text(kind, number)
                return "" if self._content(whole) == whole else "other content"
            if kind == "folder":
                return self._folder(number)
            if kind == "record":
                return "" if self._results.read("r", f"s{number}", 1) == record(number) else "lost"
        except (StorageError, NotFound) as error:
            return error.message
        return ""

    def _content(self, whole: bytes) -> bytes:
        digest = hashlib.sha256(whole).hexdigest()
        place = self._artifacts.open(Artifact(format="file", digest=digest, size=len(whole)))
        return place if isinstance(place, bytes) else place.read_bytes()

    def _folder(self, number: int) -> str:
        for name in ("first", "second"):
            if self._content(text(name, number)) != text(name, number):
                return f"its {name} file has other content"
        return ""

    def _torn(self) -> list[str]:
        """Blobs whose content is not what their name says."""
        return [
            f"blob {path.name[:8]} is torn"
            for path in (self._root / "blobs").glob("[0-9a-f][0-9a-f]/*")
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.name
        ]

    def leftovers(self) -> list[str]:
        """Temporary files that a sweep two days later leaves behind."""
        temporary = self._root / "blobs" / "tmp"
        for path in temporary.iterdir():
            os.utime(path, (0, 0))
        self._artifacts.sweep([], older_than=10**9, dry=False)
        return [path.name for path in temporary.iterdir()]


if __name__ == "__main__":
    main()
