"""Copies of the event log in object storage, for the loss of the volume.

The log itself has one writer and is on a disk. A copy is made while the log is in use, gets a name that nothing else has, and is
never changed. Only the installation that owns the place writes there.
"""

import gzip
import os
import re
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fairway.spec.errors import NotFound, StorageError, UsageError
from fairway.stores.bucket import PIECE
from fairway.stores.connections import confirmed
from fairway.stores.copying import rewrite
from fairway.stores.durable import make_folders
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata, backed_up
from fairway.stores.objects import ObjectArtifacts

COPIES = "backup/"
NEWEST = "newest"

_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}\.db\.gz")
_NEWEST_KEPT = 12
_DAYS_KEPT = 14
_DAY = len("20260101")


class LogCopies:
    """The copies of the log of one control plane."""

    def __init__(self, layout: Layout, metadata: SqliteMetadata, artifacts: ObjectArtifacts) -> None:
        self._layout = layout
        self._metadata = metadata
        self._artifacts = artifacts
        self._copied = b""

    def copy(self) -> str:
        """Copy the log and return the name of the copy; empty if nothing is new since the last one.

        Raises:
            StorageError: the log cannot be read, or the bucket not be written. The copies before it are as they were.
        """
        mark = confirmed(self._layout)
        if not mark or mark == self._copied:
            return ""
        self._artifacts.check_owner()
        bucket = self._artifacts.bucket
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}.db.gz"
        make_folders(str(self._layout.temporary))
        plain = self._layout.temporary / f"log-{name}"
        packed = plain.with_suffix(".packed")
        try:
            self._metadata.backup(plain)
            with Explaining("packing a copy of the log", packed):
                with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
                    shutil.copyfileobj(source, target, PIECE)
                size = packed.stat().st_size
                with packed.open("rb") as file:
                    bucket.put_pieces(f"{COPIES}{name}", size, iter(lambda: file.read(PIECE), b""))
        finally:
            for path in (plain, packed):
                path.unlink(missing_ok=True)
        self._copied = mark
        bucket.delete([f"{COPIES}{old}" for old in surplus(names(self._artifacts))])
        return name


def names(artifacts: ObjectArtifacts) -> list[str]:
    """Return the names of all copies, oldest first. Raises StorageError."""
    found = (held.key.removeprefix(COPIES) for held in artifacts.bucket.listed(COPIES))
    return sorted(name for name in found if _NAME.fullmatch(name))


def surplus(names: Iterable[str]) -> list[str]:
    """Return the copies that are not kept: all but the newest twelve, and the last of each of the last fourteen days."""
    ordered = sorted(names)
    last = {name[:_DAY]: name for name in ordered}
    days = sorted(last)[-_DAYS_KEPT:]
    kept = {*ordered[-_NEWEST_KEPT:], *(last[day] for day in days)}
    return [name for name in ordered if name not in kept]


def restore(artifacts: ObjectArtifacts, layout: Layout, wanted: str) -> tuple[str, int]:
    """Make the log of a volume without one from a copy. Return the name of the copy and the number of its events.

    Args:
        wanted: the name of a copy, or `newest`.

    Raises:
        NotFound: there is no such copy.
        StorageError: the copy is damaged, or the volume cannot be written. The volume has no log then.
        UsageError: the volume has a log.
    """
    if layout.database.exists():
        raise UsageError(
            "the volume has a log already, so none is restored to it",
            hint="leave `--restore-from` out, or install with an empty volume",
        )
    known = names(artifacts)
    name = known[-1] if wanted == NEWEST and known else wanted
    if name not in known:
        named = ", ".join(known[-3:]) or "none"
        raise NotFound(
            f"{artifacts.bucket.place.name} has no copy {wanted[:80]!r} of a log; the newest are {named}",
            hint="`--restore-from newest` takes the newest",
        )
    make_folders(str(layout.temporary))
    packed, plain = layout.temporary / "restored.gz", layout.temporary / "restored.db"
    try:
        _fetch(artifacts, f"{COPIES}{name}", packed, plain)
        rows, _ = backed_up(plain)
        rewrite(rows, layout.database, layout.adopt(anew=True))
    finally:
        for path in (packed, plain):
            with suppress(FileNotFoundError):
                path.unlink()
    return name, len(rows)


def _fetch(artifacts: ObjectArtifacts, key: str, packed: Path, plain: Path) -> None:
    found = artifacts.bucket.find(key)
    if found is None:
        raise NotFound(f"the copy {key} is gone", hint="`--restore-from newest`")
    with Explaining("fetching a copy of the log", packed):
        with packed.open("wb") as file:
            for piece in artifacts.bucket.pieces(key, found.size):
                file.write(piece)
        try:
            with gzip.open(packed, "rb") as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, PIECE)
        except (EOFError, gzip.BadGzipFile):
            raise StorageError(f"the copy {key} is damaged", hint="restore an older one") from None
