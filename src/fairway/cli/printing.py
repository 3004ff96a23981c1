"""The output of an endpoint's workers, read from their files. This module must not know the processes that write."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fairway import confined

_POLL = 0.2
_PIECE = 1 << 16

Printer = Callable[[tuple[str, int], str], None]
"""A function that takes a revision and worker, as a pair, and a line of their output without its end."""


def print_logs(folder: Path, printer: Printer, *, follow: bool) -> None:
    """Print the output of workers. With `follow`, go on with new output until interrupted.

    Args:
        folder: `endpoints/NAME` of a store.
        printer: prints a line.
        follow: True to go on.
    """
    files: dict[Path, _Tail] = {}
    while True:
        for path in sorted(folder.glob("r*/w*.log")):
            tail = files.setdefault(path, _Tail(path))
            for line in tail.lines(whole=follow):
                printer((path.parent.name, int(path.stem[1:])), line)
        if not follow:
            return
        time.sleep(_POLL)


class _Tail:
    """A reader of a growing file. Each read starts at the end of the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._kept = b""

    def lines(self, *, whole: bool) -> Iterator[str]:
        """Yield the new lines. With `whole`, keep a last line back until it is complete."""
        try:
            fd = confined.open_below(str(self._path.parents[3]), str(self._path))
            with open(fd, "rb") as file:
                file.seek(self._place)
                while piece := file.read(_PIECE):
                    self._place += len(piece)
                    *full, self._kept = (self._kept + piece).split(b"\n")
                    yield from (line.decode("utf-8", "replace") for line in full)
        except FileNotFoundError:
            return
        if self._kept and not whole:
            yield self._kept.decode("utf-8", "replace")
            self._kept = b""
