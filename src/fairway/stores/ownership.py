"""The owner of a store. `store.json` names the store and has a seal that only the key of this user can make.

A store without that seal was made by another user, by an earlier Fairway, or on another machine. The log has a seal of its own
(`sealing`), and so has each record of an attempt. Knows no database.
"""

import hashlib
import os
import stat

import msgspec

from fairway import confined
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.stores import ownkey

STORE = "store.json"
TAG = "platform/CACHEDIR.TAG"
LINKS = ("blobs", "blobs/tmp", "blobs/tree", "blobs/damaged", "runs", "endpoints", "platform")
_FILES = ("fairway.db", "fairway.db-wal", "fairway.db-shm", "fairway.db-journal", "commit.lock", STORE)


class ForeignStore(StorageError):
    """The store was not made by this user on this machine. It can be looked at, and nothing in it is used."""


class StoreRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `store.json`.

    Attributes:
        format: version of the layout.
        id: random name of the store; empty in a store of an earlier Fairway.
        adopted: true if the store was taken over as a whole, from an earlier Fairway or by `fairway trust`. Then records
            without a seal count too.
        seal: the seal over the other fields, made with the key of the owner.
    """

    format: int
    id: str = ""
    adopted: bool = False
    seal: str = ""


class Seal:
    """The seals of one store, made and checked with the key of one user."""

    __slots__ = ("_key", "record")

    def __init__(self, key: bytes, record: StoreRecord) -> None:
        self._key = hashlib.blake2b(
            record.id.encode(), key=key, digest_size=32, person=b"fairway store"
        ).digest()
        self.record = record

    def over(self, kind: bytes, body: bytes) -> str:
        """Return the seal over a body in hex. `kind` keeps a seal of one use from counting in another."""
        return hashlib.blake2b(body, key=self._key, digest_size=32, person=kind).hexdigest()

    def sealed(self) -> StoreRecord:
        """Return the record of the store with its seal."""
        return msgspec.structs.replace(self.record, seal=self._own())

    def holds(self) -> bool:
        """Return true if the record has the seal of this user."""
        return bool(self.record.id) and self.record.seal == self._own()

    def _own(self) -> str:
        body = msgspec.json.encode((self.record.format, self.record.id, self.record.adopted))
        return self.over(b"store", body)


def new_seal(form: int, *, adopted: bool = False) -> Seal:
    """Return the seal for a new or adopted store. Make the key of the user if there is none. Raises StorageError."""
    key = ownkey.make(ownkey.place())
    return Seal(key, StoreRecord(format=form, id=os.urandom(16).hex(), adopted=adopted))


def record(root: str) -> StoreRecord | None:
    """Read `store.json`; None if there is no such file. Raises StorageError, OSError, and the errors of UNREADABLE."""
    try:
        text = confined.read(f"{root}/{STORE}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return msgspec.json.decode(text, type=StoreRecord)


def seal_of(root: str, key_folder: str = "") -> Seal | None:
    """Return the seal of a store of this user; None for any other store.

    Raises:
        StorageError: the key cannot be used.
        OSError: the key or `store.json` cannot be read.
    """
    try:
        found = record(root)
    except UNREADABLE:
        return None
    key = ownkey.read(key_folder or ownkey.place()) if found is not None and found.seal else None
    if found is None or key is None:
        return None
    seal = Seal(key, found)
    return seal if seal.holds() else None


def refuse_links(root: str) -> None:
    """Refuse a store with a link, or a file of another user, in a place that is written to. Raises StorageError."""
    for name in LINKS:
        confined.folder(f"{root}/{name}")
    for name in _FILES:
        confined.file(f"{root}/{name}")


def refuse_others(root: str, *, named: bool = False) -> None:
    """Refuse a store in a place of another user, as git refuses such repositories.

    Args:
        root: directory of the store.
        named: true if a person named the place; false if Fairway found it.

    Raises:
        StorageError: another user owns the store, others may write to it, or it is a link that nobody named.
    """
    try:
        found = os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(found.st_mode):
        if not named:
            raise StorageError(
                f"{root} is a link to {os.readlink(root)!r}, which is followed only when you name it",
                hint=f"set `FAIRWAY_HOME` to {os.path.realpath(root)}",
            )
        found = os.stat(root)
    user = os.geteuid()
    if found.st_uid != user and not (named and user == 0):
        raise StorageError(
            f"the store {root} belongs to another user (id {found.st_uid}), and what is in it could run as you",
            hint="set `FAIRWAY_HOME` to a directory of your own",
        )
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise StorageError(
            f"others may write to the store {root}, so what is in it could be theirs",
            hint=f"`chmod go-w {root}` if nobody did, or set `FAIRWAY_HOME` to a directory of your own",
        )
    above = os.path.dirname(root)
    if not named and above != os.getcwd() and _is_open_place(above):
        raise StorageError(
            f"the store {root} was found in a folder that others may write to and that is not yours",
            hint=f"set `FAIRWAY_HOME` to {root} if you mean it, or to a directory of your own",
        )


def _is_open_place(path: str) -> bool:
    found = os.stat(path)
    return found.st_uid != os.geteuid() and bool(found.st_mode & 0o022)


def leftovers(root: str) -> list[str]:
    """Return the names of store files in a folder that has no `store.json`. Their origin is unknown."""
    found = [name for name in _FILES if os.path.lexists(f"{root}/{name}")]
    for name in ("blobs", "runs", "endpoints", "platform", "cache"):
        found += _files_below(root, name)
    return found


def _files_below(root: str, name: str) -> list[str]:
    path = f"{root}/{name}"
    if not os.path.lexists(path):
        return []
    if os.path.islink(path) or not os.path.isdir(path):
        return [name]
    for place, folders, files in os.walk(path):
        links = any(os.path.islink(f"{place}/{one}") for one in folders)
        if links or {f"{place}/{one}" for one in files} - {f"{root}/{TAG}"}:
            return [name]
        if place == f"{root}/blobs" and "tmp" in folders:
            # Unfinished files in `tmp` do not count: a process that was killed while it made the store leaves some.
            folders.remove("tmp")
    return []
