"""The file of a store that keeps the traffic of endpoints. Losing it loses pictures and nothing else."""

from contextlib import suppress
from pathlib import Path

from fairway import confined
from fairway.spec.errors import StorageError

_MOST = 64 * 2**20


class TrafficFile:
    """The file `platform/traffic.json` of a store."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._path = str(root / "platform" / "traffic.json")

    def read(self) -> bytes:
        """Return the content; empty without one that can be read."""
        with suppress(OSError, StorageError):
            return confined.read_below(self._root, self._path, _MOST)
        return b""

    def write(self, content: bytes) -> None:
        """Replace the content. Raises StorageError, OSError."""
        confined.write_below(self._root, self._path, content)
