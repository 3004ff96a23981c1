"""The output of attempts as text files, which outlive the process that printed.

Each line has the form "<seconds since the epoch> <text>", so any pager can show a file. The time is that of the beginning of the
line. Bytes that are not UTF-8 become backslash escapes, and a line over 64 KiB is split. Control codes stay; `plain` removes
them for display. Knows the names of runs and nothing else about them.
"""

import codecs
import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fairway import confined
from fairway.spec.log import LogLine, LogPart, LogQuery
from fairway.spec.quantities import whole_number
from fairway.stores import log_views
from fairway.stores.durable import make_folders, write_all
from fairway.stores.faults import FULL, Explaining
from fairway.stores.layout import Layout, original_name, safe_name
from fairway.stores.log_marks import Mark

if TYPE_CHECKING:
    from fairway.spec.wire import Sent

MAX_LINE = 64 * 1024
"""Maximum number of bytes in a stored line."""

MAX_READ = 4 << 20
"""Maximum number of bytes that one `read` looks at."""

_MAX_OPEN = 64
_START = -1
_UNKNOWN = -2
_INDEX = "order"
_MARKED = ".mark"
_decoder_for = codecs.getincrementaldecoder("utf-8")


class _Stream:
    """The output of an attempt: its file, if it is open, and the position in the present line.

    `length` is the number of bytes in the unfinished line, −1 at the start of a line, and −2 if it must be read from the file.
    """

    __slots__ = ("decoder", "fd", "folder", "length", "lost", "mark", "name", "path", "time")

    def __init__(self, folder: str, name: str) -> None:
        self.folder = folder
        self.name = name
        self.path = f"{folder}/{name}.log"
        self.fd = -1
        self.mark: Mark | None = None
        self.decoder: codecs.IncrementalDecoder | None = None
        self.length = _UNKNOWN
        self.lost = 0
        self.time = 0.0


class FileLogs:
    """The logs below `runs/<run>/logs`. One process writes the log of an attempt, and any number may read it."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._streams: dict[tuple[str, str, int], _Stream] = {}
        self._open: OrderedDict[_Stream, None] = OrderedDict()

    def append(
        self, run: str, step: str, attempt: int, time: float, data: bytes, sent: "Sent | None" = None
    ) -> None:
        """Append output, which may end in the middle of a line. `time` is in seconds since the epoch.

        With a position, the part is left out that was appended before, by this process or an earlier one.

        On a full disk, output is dropped and the run continues. Once there is space, the log says how many bytes are missing.

        Raises:
            StorageError: the file cannot be written for another reason.
        """
        stream = self._streams.get((run, step, attempt))
        if stream is None:
            stream = _Stream(str(self._layout.logs(run)), f"{safe_name(step)}.{attempt}")
            self._streams[run, step, attempt] = stream
        stream.time = time
        if sent is not None:
            data = self._fresh(stream, sent, data)
        if stream.decoder is not None:
            text = stream.decoder.decode(data)
            data = text.encode("utf-8")
        elif not _is_utf8(data):
            stream.decoder = _decoder_for("backslashreplace")
            data = stream.decoder.decode(data).encode("utf-8")
        if data:
            self._write(stream, data)

    def forget(self, run: str) -> None:
        """Remove the folder of a run that is over: its output, and the records of its attempts. Raises StorageError."""
        path = str(self._layout.run(run))
        with Explaining("removing the output of a run", path):
            confined.remove_below(str(self._layout.root), path)

    def close(self, run: str, step: str, attempt: int) -> None:
        """End the log of an attempt and complete an unfinished line."""
        stream = self._streams.pop((run, step, attempt), None)
        if stream is None:
            return
        rest = stream.decoder.decode(b"", final=True).encode("utf-8") if stream.decoder is not None else b""
        if rest:
            self._write(stream, rest)
        if stream.length >= 0:
            self._write(stream, b"\n")
        self._close_file(stream)

    def read(
        self, run: str, step: str, attempt: int, offset: int = 0, most: int = MAX_READ
    ) -> tuple[list[tuple[float, str]], int]:
        """Return the complete lines from a byte offset with their times, and the offset after them.

        One call reads `most` bytes. Call again until the offset stays the same. The text still contains escape codes;
        `plain` removes them.
        """
        path = f"{self._layout.logs(run)}/{safe_name(step)}.{attempt}.log"
        with Explaining("reading a log", path):
            try:
                fd = confined.open_below(str(self._layout.root), path)
            except FileNotFoundError:
                return [], offset
            try:
                data = os.pread(fd, most, offset)
            finally:
                os.close(fd)
        end = data.rfind(b"\n") + 1
        return [_parsed(line) for line in data[: end - 1].split(b"\n")] if end else [], offset + end

    def part(self, run: str, query: LogQuery) -> LogPart:
        """Return the part of an attempt's output that a query asks for. It is empty for an attempt without output."""
        path = f"{self._layout.logs(run)}/{safe_name(query.step)}.{query.attempt}.log"
        with Explaining("reading a log", path):
            try:
                fd = confined.open_below(str(self._layout.root), path)
            except FileNotFoundError:
                return LogPart(step=query.step, attempt=query.attempt)
            try:
                return _asked(fd, query)
            finally:
                os.close(fd)

    def attempts(self, run: str) -> list[tuple[str, int]]:
        """Return the attempts of a run with output, as step name and number, in the order of their first output."""
        path = f"{self._layout.logs(run)}/{_INDEX}"
        with Explaining("reading a log", path):
            try:
                with open(
                    confined.open_below(str(self._layout.root), path), encoding="utf-8", errors="replace"
                ) as file:
                    names = dict.fromkeys(file.read(MAX_READ).splitlines())
            except FileNotFoundError:
                return []
        found: list[tuple[str, int]] = []
        for name in names:
            step, _, attempt = name.rpartition(".")
            number = whole_number(attempt)
            if step and number is not None:
                found.append((original_name(step), number))
        return found

    def _write(self, stream: _Stream, data: bytes) -> None:
        with Explaining("writing a log", stream.path):
            try:
                fd = self._file(stream)
                if stream.length == _UNKNOWN:
                    stream.length = _length_so_far(fd)
                note = _note(stream) if stream.lost else b""
                stamped = note + _stamped(stream, stream.time, data)
                if stream.mark is not None:
                    stream.mark.announce(fd, len(stamped))
                write_all(fd, stamped)
                stream.lost = 0
            except OSError as error:
                if error.errno not in FULL:
                    raise
                stream.lost += len(data)
                stream.length = _UNKNOWN

    def _fresh(self, stream: _Stream, sent: "Sent", data: bytes) -> bytes:
        """Return the part of some output that the log does not have. On a full disk that is not known, so it is all."""
        with Explaining("writing a log", stream.path):
            try:
                return self._mark(stream, sent.origin).take(sent.offset, data)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                return data

    def _mark(self, stream: _Stream, origin: str) -> Mark:
        """Return the mark for the output of a sender."""
        log = self._file(stream)
        if stream.mark is not None and not stream.mark.is_of(origin):
            stream.mark.close()
            stream.mark = None
        if stream.mark is None:
            path = f"{stream.folder}/{stream.name}{_MARKED}"
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            stream.mark = Mark(confined.open_below(str(self._layout.root), path, flags), log, origin)
        return stream.mark

    def _file(self, stream: _Stream) -> int:
        if stream.fd >= 0:
            self._open.move_to_end(stream)
            return stream.fd
        if len(self._open) >= _MAX_OPEN:
            self._close_file(next(iter(self._open)))
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        root = str(self._layout.root)
        try:
            stream.fd = confined.open_below(root, stream.path, flags)
        except FileNotFoundError:
            # Register first: a kill in between leaves a name without a log, and not a log that nobody finds.
            _register(root, stream.folder, stream.name)
            stream.fd = confined.open_below(root, stream.path, flags | os.O_CREAT)
        self._open[stream] = None
        return stream.fd

    def _close_file(self, stream: _Stream) -> None:
        if stream.fd >= 0:
            self._open.pop(stream, None)
            with suppress(OSError):
                os.close(stream.fd)
            stream.fd = -1
            if stream.mark is not None:
                with suppress(OSError):
                    stream.mark.close()
                stream.mark = None


def _length_so_far(fd: int) -> int:
    """Return the position in the last line of an existing file. An unfinished line counts as full, so that a new one begins."""
    size = os.fstat(fd).st_size
    return MAX_LINE if size and os.pread(fd, 1, size - 1) != b"\n" else _START


def _note(stream: _Stream) -> bytes:
    begun = b"\n" if stream.length >= 0 else b""
    stream.length = _START
    return b"%b%.6f %d bytes of output were lost here: the disk was full\n" % (
        begun,
        stream.time,
        stream.lost,
    )


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _stamped(stream: _Stream, time: float, data: bytes) -> bytes:
    """Return the bytes for the file: with a time before each new line, and with lines over `MAX_LINE` split."""
    stamp = b"%.6f " % time
    out: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        if stream.length == _START:
            out.append(stamp)
            stream.length = 0
        stop = data.find(b"\n", at, at + MAX_LINE - stream.length + 1)
        if stop >= 0:
            out.append(data[at : stop + 1])
            at, stream.length = stop + 1, _START
            continue
        stop = at + MAX_LINE - stream.length
        if stop >= end:
            out.append(data[at:])
            stream.length += end - at
            break
        # Go back to the start of a letter, so that the split leaves both parts valid UTF-8.
        while stop > at and data[stop] & 0xC0 == 0x80:
            stop -= 1
        out.append(data[at:stop] + b"\n")
        at, stream.length = stop, _START
    return b"".join(out)


def _asked(fd: int, query: LogQuery) -> LogPart:
    words = log_views.PROBLEMS if query.problems else (query.find.lower().encode(),)
    found = searched = -1
    if query.problems or query.find:
        found, searched = log_views.search(fd, words, query.at, back=query.back)
    if found >= 0:
        start = log_views.part(fd, found, query.lines // 2, back=True).start
        seen = log_views.part(fd, start, query.lines)
    elif searched >= 0:
        seen = log_views.part(fd, max(0, query.at), query.lines)
    else:
        seen = log_views.part(fd, query.at, query.lines, back=query.back)
    parsed = [(place, *_parsed(line)) for place, line in seen.lines]
    return LogPart(
        step=query.step,
        attempt=query.attempt,
        lines=[
            LogLine(step=query.step, attempt=query.attempt, time=time, text=text) for _, time, text in parsed
        ],
        places=[place for place, _, _ in parsed],
        start=seen.start,
        end=seen.end,
        size=seen.size,
        number=seen.number,
        found=found,
        searched=searched,
    )


def _parsed(line: bytes) -> tuple[float, str]:
    stamp, _, text = line.partition(b" ")
    try:
        return float(stamp), text.decode("utf-8", "replace")
    except ValueError:
        return 0.0, line.decode("utf-8", "replace")


def _register(root: str, folder: str, name: str) -> None:
    """Add an attempt to the index. The index keeps the order of first outputs, because a clock can go back."""
    path = f"{folder}/{_INDEX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        fd = confined.open_below(root, path, flags)
    except FileNotFoundError:
        make_folders(folder)
        fd = confined.open_below(root, path, flags)
    try:
        write_all(fd, f"{name}\n".encode())
    finally:
        os.close(fd)
