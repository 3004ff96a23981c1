"""Checks of a zip file before anything in it is read.

A foreign file may not fill the memory, and its entries may not name places outside it.

Nothing is ever extracted to a folder. This module does not know what the files inside mean.
"""

import io
import stat
from typing import TYPE_CHECKING

from fairway.spec.errors import SerializationError

if TYPE_CHECKING:
    from zipfile import ZipInfo

MAX_ENTRIES = 10_000
"""The largest number of entries that a file may have."""
FREE_SIZE = 64 * 2**20
"""The number of bytes that a file may unpack to, however small it is."""

MAX_RATIO = 100
"""The largest ratio of unpacked to packed size, for files that unpack to more than `FREE_SIZE`."""
_STORED, _DEFLATED = 0, 8


def check(data: bytes) -> None:
    """Refuse anything but a plain zip file of plain files. Raises SerializationError."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            why = _fault(archive.infolist(), len(data))
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise SerializationError(f"the file is not a zip file, or is damaged: {error}") from None
    if why:
        raise SerializationError(f"the file is not admitted: {why}")


def _fault(entries: "list[ZipInfo]", size: int) -> str:
    """Return the reason to refuse the entries, or an empty text."""
    if len(entries) > MAX_ENTRIES:
        return f"it holds {len(entries)} entries"
    if len({entry.filename for entry in entries}) != len(entries):
        return "a name is in it twice"
    for entry in entries:
        name = entry.orig_filename
        if (
            name.startswith(("/", "\\"))
            or "\0" in name
            or ":" in name
            or "\\" in name
            or ".." in name.split("/")
        ):
            return f"the name {name[:60]!r} leads out of it"
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            return f"{name[:60]!r} is a link or a device"
        if entry.compress_type not in (_STORED, _DEFLATED) or entry.flag_bits & 1:
            return f"{name[:60]!r} is packed or encrypted in a way that is not read"
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(FREE_SIZE, size * MAX_RATIO):
        return f"it would unpack to {unpacked} bytes"
    if sum(entry.compress_size for entry in entries) > size:
        return "its entries overlap"
    return ""
