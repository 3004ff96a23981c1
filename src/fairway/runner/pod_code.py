"""The code and the credential of a run, put into the files of a pod."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.errors import FairwayError
from fairway.spec.host import StorePlace
from fairway.spec.link import Orders
from fairway.stores.opening import open_store

_PRIVATE = 0o600


def keep_credential(path: Path, credential: str) -> None:
    """Write a credential into a file that only this user can read. A reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent)  # It is readable for this user alone from the beginning.
    with os.fdopen(fd, "w") as file:
        file.write(credential)
    os.chmod(name, _PRIVATE)
    os.replace(name, path)


def fetch(orders: Orders, store: StorePlace, folder: Path) -> Path:
    """Return the project file of the orders, in a folder of this pod that holds the whole bundle.

    The copy may be written to: code reads and writes files beside itself, and the store's own files never change.

    Raises:
        NotFound: the store does not hold the bundle.
        CorruptArtifact: what it holds is not the bundle.
        StorageError: the bundle cannot be read or written.
    """
    if not orders.bundle:
        return Path(orders.file)
    there = folder / orders.bundle
    if not there.exists():
        content = _content(orders, store)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder))
        shutil.copytree(content, temporary, dirs_exist_ok=True)
        for path in (temporary, *temporary.rglob("*")):
            _let_write(path)
        # Rename last, so that a folder with this name always holds the whole bundle.
        temporary.rename(there)
    return there / orders.file


def restore(orders: Orders, store: StorePlace, folder: Path, paths: Sequence[Path]) -> None:
    """Put files of the bundle back as they were. The paths are relative to the bundle. What cannot be written stays as it is."""
    there = folder / orders.bundle
    with contextlib.suppress(FairwayError, OSError):
        content = _content(orders, store)
        for path in paths:
            target = there / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink():
                target.unlink()
            shutil.copy2(content / path, target)
            _let_write(target)


def _content(orders: Orders, store: StorePlace) -> Path:
    bundle = Artifact(format="folder", digest=orders.bundle, size=0, files=True)
    content = open_store(store).artifacts.open(bundle)
    assert isinstance(content, Path)
    return content


def _let_write(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o200 | (0o100 if path.is_dir() else 0))
