"""A layer with bytecode for the standard library of a base.

The images that people build on leave bytecode out, and pods have a read-only file system. So every Python in a pod would
compile each module of the standard library that it imports, which takes longer than the import itself.

The sources come from the base's own layers, by digest, because bytecode of another version of a module would be believed.
"""

import asyncio
import gzip
import re
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from fairway.cluster.images.bases import Base, fetch_layer
from fairway.cluster.images.bytecode import compiled
from fairway.cluster.images.documents import OCI_LAYER
from fairway.cluster.images.layers import Entry, Layer, write_layer
from fairway.cluster.images.programs import find_python
from fairway.cluster.images.registry import Registry
from fairway.cluster.images.workshop import Workshop, key_of

_MOST_READ = 192 * 2**20
"""The most bytes of layers that are fetched to find the sources."""
_MOST_MODULE = 2 * 2**20
_MOST_MODULES = 5000
_HEADER = 16
"""The bytes before the code: a number of the version, how it is compared with its source, and the source's time and size."""
_REMOVED = ".wh."
_ALL_BELOW = ".wh..wh..opq"
_LEFT_OUT = frozenset(
    {
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "idlelib",
        "turtledemo",
        "tkinter",
        "lib2to3",
        "ensurepip",
    }
)
"""Folders of the standard library that no program in a pod needs quickly."""


async def standard_layers(registry: Registry, base: Base, workshop: Workshop) -> list[Layer]:
    """Return the layer with bytecode for a base's standard library. There is none if the base has that, or nobody can make it.

    Args:
        registry: the registry that has the base.
        base: the base.
        workshop: the tools.

    Raises:
        FairwayError: the registry refuses, or cannot be reached.
    """
    if not find_python(base.target.python, workshop.environment):
        return []
    key = key_of("bytecode of the standard library", base.name.digest, base.target.python)
    if (found := workshop.recall(key)) is not None:
        return found
    with workshop.scratch() as scratch:
        modules = await _modules(registry, base, scratch / "modules", workshop)
        entries = await compiled(modules, base.target.python, scratch / "bytecode", workshop)
        layers: list[Layer] = []
        if entries:
            comment = f"bytecode for the standard library of Python {base.target.python}"
            there = _folders(modules)
            layers.append(
                await asyncio.to_thread(write_layer, entries, comment, workshop.layers, shared=there)
            )
    workshop.remember(key, layers)
    return layers


async def _modules(registry: Registry, base: Base, folder: Path, workshop: Workshop) -> list[Entry]:
    """Return the sources of a base's standard library, read from its last layer on, until the one that brought it."""
    found = _Sources(base.target.python, folder)
    left = _MOST_READ
    for layer in reversed(base.layers):
        left -= layer.size
        if layer.media_type != OCI_LAYER or left < 0:
            workshop.note(
                "the standard library of the base gets no bytecode: its layers are too large to look for it"
            )
            return []
        file = await fetch_layer(registry, base.name.repository, layer, workshop)
        try:
            await asyncio.to_thread(found.read, file)
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error):
            # No node could unpack it either, and whoever pulls the image hears of that.
            return []
        if found.is_whole:
            break
    return [] if found.has_bytecode else found.entries


class _Sources:
    """The sources of a standard library, as the layers of an image have them, the last one first.

    Attributes:
        entries: the modules, with a copy of each on this machine.
        is_whole: True once the layer was read that brought the standard library.
    """

    def __init__(self, python: str, folder: Path) -> None:
        self.entries: list[Entry] = []
        self.is_whole = False
        self._folder = folder
        self._written = -1
        self._header = b""
        self._hidden: set[str] = set()
        root = rf"(?:usr/|usr/local/|opt/[\w.-]+/)?lib(?:64)?/python{re.escape(python)}"
        self._form = re.compile(rf"(?:\./)?(?P<name>{root}/(?P<module>.+))")

    @property
    def has_bytecode(self) -> bool:
        """True if the image has bytecode that Python takes.

        Most bytecode names the time of its source. A build that gives all files one time, to be repeatable, makes it useless.
        """
        if len(self._header) < _HEADER:
            return False
        is_by_time = not int.from_bytes(self._header[4:8], "little")
        return not is_by_time or int.from_bytes(self._header[8:12], "little") == self._written

    def read(self, file: Path) -> None:
        """Take the modules of one layer that no later layer replaces or removes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        hidden: set[str] = set()
        with tarfile.open(file, "r:gz") as tar:
            for member in tar:
                matched = self._form.fullmatch(member.name)
                if matched is None or not _LEFT_OUT.isdisjoint(matched["module"].split("/")):
                    continue
                name, removed = matched["name"], _removed(matched["name"])
                if not removed and not self._is_hidden(name):
                    self._take(tar, member, name, matched["module"])
                if removed or not member.isdir():
                    hidden.add(removed or name)
        # Only now, because what a layer removes is in the layers below it.
        self._hidden |= hidden

    def _is_hidden(self, name: str) -> bool:
        return name in self._hidden or any(
            str(parent) in self._hidden for parent in PurePosixPath(name).parents
        )

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, module: str) -> None:
        content = tar.extractfile(member) if member.isreg() and member.size <= _MOST_MODULE else None
        if content is None:
            return
        if re.fullmatch(r"__pycache__/os\.cpython-\d+\.pyc", module):
            self._header = content.read(_HEADER)
        if not name.endswith(".py") or len(self.entries) >= _MOST_MODULES:
            return
        target = self._folder / f"{len(self.entries)}.py"
        with target.open("wb") as copy:
            shutil.copyfileobj(content, copy)
        self.entries.append(Entry(name, target))
        if module == "os.py":
            self.is_whole, self._written = True, int(member.mtime)


def _removed(name: str) -> str:
    """Return the file or folder that an entry removes from the layers below; empty if it is no such mark."""
    folder, _, mark = name.rpartition("/")
    if mark == _ALL_BELOW:
        return folder
    return f"{folder}/{mark.removeprefix(_REMOVED)}" if mark.startswith(_REMOVED) else ""


def _folders(modules: list[Entry]) -> frozenset[str]:
    """Return the folders that the base has, so that a layer leaves their modes alone."""
    return frozenset(str(parent) for entry in modules for parent in PurePosixPath(entry.name).parents)
