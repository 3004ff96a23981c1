"""Backup and restore of a store: a backup lists its parts with their digests, and only these parts are copied.

No link is followed, and no file outside the list is opened. The database is written again from its events, so a trigger or any
other object in the old database is not copied.
"""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from fairway import confined
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.spec.upkeep import DATABASE
from fairway.stores import chain, ownership, schema, sealing
from fairway.stores.durable import make_folders, remove_tree, sync, sync_folder, write_all
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata, backed_up

LIST = "backup.json"
"""The file of a backup with the list of its parts."""

_PARTS = re.compile(
    r"blobs/([0-9a-f]{2})/\1[0-9a-f]{62}|runs/[^/]+/(results|logs)/[^/]+|\.gitignore|store\.json"
)
_CHUNK = 1 << 20


class Listed(msgspec.Struct):
    """The list in a backup: the SHA-256 of each file besides the database, by its path."""

    files: dict[str, str]


def backup(layout: Layout, metadata: SqliteMetadata, target: Path) -> None:
    """Copy a store to a new folder. Runs and endpoints may use the store meanwhile. Raises StorageError."""
    make_folders(str(target.absolute()))
    # Copy the log first. Content is stored before its event, so the parts that are copied later contain all of it.
    metadata.backup(target / DATABASE)
    os.chmod(target / DATABASE, confined.PRIVATE_FILE)
    with Explaining("writing a backup", target):
        digests = {part: _copy(layout.root, target, part) for part in parts(layout.root)}
        write(target / LIST, msgspec.json.encode(Listed(files=digests)))
        sync_folder(str(target))


def restore(source: Path, layout: Layout) -> None:
    """Make a store from a backup in a place without a store.

    Raises:
        StorageError: the backup is damaged, or the place already has files of a store. Nothing is left behind then.
    """
    root = layout.root
    if ownership.leftovers(str(root)):
        raise StorageError(
            f"there is something at {root}", hint=f"move it away first: `mv {root} {root}-old`"
        )
    with Explaining("restoring a backup", root):
        wanted = _listed(source)
        make_folders(str(root))
        try:
            _restore(source, root, wanted)
        except BaseException:
            for name in (DATABASE, ownership.STORE, ".gitignore"):
                confined.unlink_own(str(root / name))
            for name in ("blobs", "runs"):
                with suppress(OSError):
                    remove_tree(str(root / name))
            raise


def rewrite(
    rows: list[chain.Row], target: Path, seal: ownership.Seal | None, kept: tuple[int, int, str] | None = None
) -> None:
    """Write a database with events and their derived tables, and replace the file at `target` with it.

    Args:
        rows: the events.
        target: path of the database.
        seal: the seal for the new log; None to keep the old one.
        kept: the row of the old seal.
    """
    part = target.with_name(f"{target.name}.part")
    confined.unlink_own(str(part))
    fd = confined.open_file(str(part), os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as made:
            made.execute("BEGIN")
            for statement in schema.LOG.split(";"):
                if statement.strip():
                    made.execute(statement)
            sql = "INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
            made.executemany(sql, (msgspec.structs.astuple(row) for row in rows))
            chain.rebuild(made)
            sealing.make_room(made)
            if seal is not None:
                sealing.put(made, seal, os.fstat(fd).st_ino)
            elif kept is not None:
                sealing.keep(made, kept)
            made.execute(f"PRAGMA user_version = {schema.VERSION}")
            made.execute("COMMIT")
        sync(fd, str(part))
        for suffix in ("-wal", "-shm", "-journal"):
            confined.unlink_own(f"{target}{suffix}")
        os.rename(part, target)
        sync_folder(str(target.parent))
    finally:
        os.close(fd)
        confined.unlink_own(str(part))


def _restore(source: Path, root: Path, wanted: dict[str, str]) -> None:
    for part, digest in wanted.items():
        if part == ownership.STORE:
            continue
        found = _copy(source, root, part)
        if digest and found != digest:
            raise StorageError(
                f"the backup is damaged: {part} does not match its digest", hint="use another backup"
            )
    confined.file(str(source / DATABASE), anyones=True)
    rows, kept = backed_up(source / DATABASE)
    rewrite(rows, root / DATABASE, None, kept)
    for name in ("blobs/tmp", "blobs/tree", "runs", "endpoints", "platform"):
        make_folders(str(root / name))
    # Last: this file makes the folder a store, so a failure before it leaves no store.
    _copy(source, root, ownership.STORE)


def _listed(source: Path) -> dict[str, str]:
    """Return the parts of a backup with their digests. In an older backup without a list, only blobs have one: their name."""
    with suppress(FileNotFoundError):
        fd = confined.open_file(str(source / LIST), anyones=True)
        with open(fd, "rb") as file:
            try:
                listed = msgspec.json.decode(file.read(), type=Listed).files
            except UNREADABLE:
                raise StorageError(
                    f"the list of the backup {source} is damaged", hint="use another backup"
                ) from None
        for part in listed:
            if not is_part(part):
                raise StorageError(
                    f"the backup {source} names {part[:80]!r}, which no backup holds", hint="do not use it"
                )
        return listed
    return {part: part.rpartition("/")[2] if part.startswith("blobs/") else "" for part in parts(source)}


def parts(root: Path) -> Iterator[str]:
    """Yield the paths of the parts of a store or backup. Links are not followed."""
    for folder, folders, files in os.walk(root):
        at = os.path.relpath(folder, root)
        depth = 0 if at == "." else at.count("/") + 1
        folders[:] = [name for name in folders if depth < 3 and not os.path.islink(f"{folder}/{name}")]
        if depth == 0:
            folders[:] = [name for name in folders if name in ("blobs", "runs")]
        for name in sorted(files):
            part = name if at == "." else f"{at}/{name}"
            if is_part(part) and not os.path.islink(f"{folder}/{name}"):
                yield part


def is_part(part: str) -> bool:
    """Tell whether a path is that of a part of a backup, besides the database and the list."""
    return (
        bool(_PARTS.fullmatch(part))
        and "/../" not in part
        and "/./" not in part
        and not part.endswith(("/..", "/."))
    )


def _copy(source: Path, target: Path, part: str) -> str:
    """Copy a file, private to this user, and return its SHA-256."""
    path = str(target / part)
    make_folders(os.path.dirname(path))
    confined.below(str(source), str(source / part), anyones=True)
    given = confined.open_file(str(source / part), anyones=True)
    found = hashlib.sha256()
    try:
        made = confined.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            while chunk := os.read(given, _CHUNK):
                found.update(chunk)
                write_all(made, chunk)
            os.fchmod(made, 0o400 if part.startswith("blobs/") else confined.PRIVATE_FILE)
            sync(made, path)
        finally:
            os.close(made)
    finally:
        os.close(given)
    return found.hexdigest()


def write(path: Path, content: bytes) -> None:
    """Write a new file, durably. Raises OSError."""
    fd = confined.open_file(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(fd, content)
        sync(fd, str(path))
    finally:
        os.close(fd)
