"""The bond between a volume and a place in object storage, made when a control plane starts.

The store is tried before it is relied on: whether it creates an object only once differs among servers. A place belongs to one
installation, because a sweep of one would take the artifacts of the other. What the volume held before moves to the place.
"""

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError, UsageError
from fairway.spec.objects import ObjectPlace
from fairway.spec.upkeep import Tried
from fairway.stores.bucket import Bucket
from fairway.stores.durable import sync_folder, write_all
from fairway.stores.faults import Explaining
from fairway.stores.objects import MARKER, Marker, ObjectArtifacts, owner_of
from fairway.stores.refusals import StoreUnreachable

BOND = "objects.json"
"""The file of the volume that says where its artifacts are."""

_RACERS = 4


class _Bond(msgspec.Struct):
    store: str


def settle(artifacts: ObjectArtifacts, say: Callable[[str], None], *, take: bool = False) -> None:
    """Bind a volume and a place to each other, and to an installation.

    A volume that is bound already is served also while the store does not answer.

    Args:
        say: takes lines for the log.
        take: true to take a place over from an earlier installation, if this volume is bound to none.

    Raises:
        StorageError: the store does not do what it must, or the place belongs to another installation.
        UsageError: the artifacts of the volume are at another place.
    """
    root, place = artifacts.root, artifacts.bucket.place
    bound = bound_to(root)
    if bound and bound != place.name:
        raise UsageError(
            f"the artifacts of this volume are at {bound}, and the installation names {place.name}",
            hint=f"install with `--store {bound}`, or with another volume",
        )
    try:
        tried = prove(artifacts.bucket)
        _claim(artifacts, take=take and not bound)
    except StoreUnreachable as error:
        if not bound:
            raise
        say(f"artifacts are out of reach for now: {error.message}")
        return
    for one in tried:
        if not one.ok:
            say(f"note: {place.name}: {one.use}: {one.found}")
    if not bound:
        moved = artifacts.take_over(say)
        say(f"artifacts are kept at {place.name}; {moved} of the volume are there too now")
        _bind(root, place)


def try_again(artifacts: ObjectArtifacts) -> list[Tried]:
    """Try everything that is asked of the store of an installation at work. Nothing is raised."""
    try:
        artifacts.check_owner()
        return prove(artifacts.bucket)
    except StorageError as error:
        return [Tried("use", error.message, False, error.hint)]


def refuse_bound(root: Path) -> None:
    """Refuse to use a volume without the object storage that has its artifacts. Raises UsageError, StorageError."""
    bound = bound_to(root)
    if bound:
        raise UsageError(
            f"the artifacts of this volume are at {bound}, and the installation names no store",
            hint=f"install with `--store {bound}`",
        )


def bound_to(root: Path) -> str:
    """Return the place of the artifacts of a volume; empty if they are on it. Raises StorageError."""
    path = root / BOND
    with Explaining("opening the store", path):
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Bond).store
        except FileNotFoundError:
            return ""
        except UNREADABLE:
            raise StorageError(
                f"{path} is damaged, so the place of the artifacts is not known",
                hint='write {"store": "s3://BUCKET/PREFIX"} into the file',
            ) from None


def prove(bucket: Bucket) -> list[Tried]:
    """Try everything that is asked of a store, and set `bucket.creates` to whether an object is created only once.

    Nothing is left behind.

    Raises:
        StorageError: the store cannot be written, read, listed or deleted from.
    """
    key, content = f"tries/{secrets.token_hex(8)}", secrets.token_bytes(64)
    bucket.put(key, content)
    try:
        if bucket.read(key) != content or bucket.beginning(key, 8) != content[:8]:
            raise StorageError(
                f"{bucket.place.name} returns other content than was written", hint="do not use this store"
            )
        if key not in {held.key for held in bucket.listed("tries/")}:
            raise StorageError(
                f"{bucket.place.name} does not list what was just written",
                hint="use a store that is consistent; most are",
            )
        bucket.creates = _creates_once(bucket, key)
    finally:
        with suppress(StoreUnreachable):
            bucket.delete([key])
    if bucket.find(key) is not None:
        raise StorageError(f"{bucket.place.name} keeps an object that was deleted", hint="allow deletion")
    once = "an object is created only once"
    if bucket.creates:
        return [Tried("use", "written, read, listed, deleted"), Tried("create", once)]
    weaker = "the store replaces objects that are only to be created; artifacts are safe, as their name is their content"
    hint = "let no second installation use this place: nothing but its name keeps it away"
    return [Tried("use", "written, read, listed, deleted"), Tried("create", weaker, False, hint)]


def _creates_once(bucket: Bucket, key: str) -> bool:
    """Tell whether the store refuses to create an object that is there, also to several writers at once."""
    fresh = f"{key}-race"
    try:
        if bucket.create_once(key, b"another"):
            return False
        with ThreadPoolExecutor(_RACERS) as racers:
            won = list(
                racers.map(partial(bucket.create_once, fresh), [b"%d" % mine for mine in range(_RACERS)])
            )
        return won.count(True) == 1
    except StoreUnreachable:
        raise
    except StorageError:
        return False  # the condition is an unknown word to this store
    finally:
        bucket.delete([fresh])


def _claim(artifacts: ObjectArtifacts, *, take: bool) -> None:
    """Make a place that of an installation. Raises StorageError if it is that of another one, and not to be taken."""
    bucket, marker = artifacts.bucket, msgspec.json.encode(Marker(artifacts.owner))
    if bucket.create(MARKER, marker):
        return
    owner = owner_of(bucket)
    if owner == artifacts.owner:
        return
    if not take:
        raise StorageError(
            f"{bucket.place.name} holds the artifacts of another installation ({owner[:8] or 'unknown'})",
            hint="name a prefix of its own for each installation: `--store s3://BUCKET/OTHER`; "
            "if the other one is gone for good, take its place over: `--restore-from newest`",
        )
    bucket.put(MARKER, marker)


def _bind(root: Path, place: ObjectPlace) -> None:
    with Explaining("writing down the place of the artifacts", root / BOND):
        part = root / f"{BOND}.part"
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, msgspec.json.encode(_Bond(place.name)))
            os.fsync(fd)
        finally:
            os.close(fd)
        part.rename(root / BOND)
        sync_folder(str(root))
