"""The output of an endpoint's workers, as their files hold it. Knows files, not the processes that write them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL = 0.2
_PIECE = 1 << 16

Printer = Callable[[tuple[str, int], str], None]
"""Takes who printed, (revision, worker), and a line without its end."""


def print_logs(folder: Path, printer: Printer, *, follow: bool) -> None:
    """Print what workers have printed, and with `follow` what they print until interrupted.

    Args:
        folder: `endpoints/NAME` of a store.
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
    """One file, read on from where it was left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._kept = b""

    def lines(self, *, whole: bool) -> Iterator[str]:
        """Lines that came since; with `whole` a last one waits for its end."""
        try:
            with self._path.open("rb") as file:
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
