"""The layers of Fairway itself: the packages that it needs, from its own lock, and its own modules.

They are the same for everybody who has the same version of Fairway, whether it runs from a wheel or from a checkout.
"""

import asyncio
import hashlib
from importlib import metadata
from pathlib import Path, PurePosixPath

from fairway.cluster.images.bytecode import compiled
from fairway.cluster.images.layers import Entry, Layer, entries_below, write_layer
from fairway.cluster.images.programs import find_python
from fairway.cluster.images.wheels import Target, lay_out
from fairway.cluster.images.workshop import Workshop, key_of
from fairway.spec.errors import FairwayError

ROOT = "opt/fairway"
"""The folder of everything that Fairway puts into an image."""

SHARED = ("opt",)
START = f"{ROOT}/start"
PROGRAMS = f"{ROOT}/bin"
WORK = "fairway"
"""The working directory of an image."""

DISTRIBUTION = "fairway-ml"
_PACKAGE = Path(__file__).parents[2]
_LOCK = "cluster/images/image.txt"
_STARTING = Path(__file__).with_name("starting.py")
_PYTHON = b'#!/bin/sh\nexec python3 "$@"\n'
_FAIRWAY = b'#!/bin/sh\nexec python3 -m fairway "$@"\n'


def version() -> str:
    """Return the version of Fairway. Raises FairwayError if it runs without being installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise FairwayError(
            "Fairway is not installed here, so its version is not known", hint=f"`pip install {DISTRIBUTION}`"
        ) from None


def image_lock() -> str:
    """Return the locked packages that Fairway needs in a cluster. Raises FairwayError."""
    for place in (_PACKAGE / _LOCK, _PACKAGE.parents[1] / "requirements" / "image.txt"):
        if place.is_file():
            return place.read_text("utf-8")
    raise FairwayError(
        f"this installation of Fairway lacks {_LOCK}, the list of the packages that it needs",
        hint=f"install it again: `pip install --force-reinstall {DISTRIBUTION}`",
    )


async def fairway_layers(target: Target, workshop: Workshop) -> list[Layer]:
    """Return the layers of Fairway for a target: its packages, which change seldom, and its own modules.

    Raises:
        FairwayError: a package cannot be fetched or has no wheel for the target.
    """
    return [*await _packages(target, workshop), await _own(target, workshop)]


async def _packages(target: Target, workshop: Workshop) -> list[Layer]:
    lock = image_lock()
    has_python = bool(find_python(target.python, workshop.environment))
    key = key_of("core", lock, target.python, target.platform, str(has_python))
    if (found := workshop.recall(key)) is not None:
        return found
    workshop.note(
        f"fetching the packages of Fairway for Python {target.python} on linux/{target.architecture}"
    )
    with workshop.scratch() as scratch:
        folder = scratch / "packages"
        await lay_out(lock, target, folder, workshop)
        entries = entries_below(folder, f"{ROOT}/lib/python{target.python}/site-packages")
        entries += await compiled(entries, target.python, scratch / "bytecode", workshop)
        comment = "packages that Fairway needs"
        layer = await asyncio.to_thread(write_layer, entries, comment, workshop.layers, shared=SHARED)
    workshop.remember(key, [layer])
    return [layer]


async def _own(target: Target, workshop: Workshop) -> Layer:
    entries = _own_entries()
    has_python = bool(find_python(target.python, workshop.environment))
    key = key_of("own", _digest(entries), target.python, str(has_python))
    if found := workshop.recall(key):
        return found[0]
    with workshop.scratch() as scratch:
        entries += await compiled(entries, target.python, scratch / "bytecode", workshop)
        comment = f"Fairway {version()}"
        layer = await asyncio.to_thread(write_layer, entries, comment, workshop.layers, shared=SHARED)
    workshop.remember(key, [layer])
    return layer


def _own_entries() -> list[Entry]:
    """Return the modules of Fairway, its entry in the list of installed packages, and the start of Python."""
    own = PurePosixPath(f"{ROOT}/own")
    listed = own / f"fairway_ml-{version()}.dist-info"
    files = [
        Entry(entry.name, entry.source, entry.link)
        for entry in entries_below(_PACKAGE, str(own / "fairway"), leave_out=_is_passing)
        if entry.name != str(own / "fairway" / _LOCK)
    ]
    return [
        *files,
        Entry(str(own / "fairway" / _LOCK), image_lock().encode()),
        Entry(str(listed / "METADATA"), _metadata().encode()),
        Entry(str(listed / "INSTALLER"), b"fairway\n"),
        Entry(f"{START}/sitecustomize.py", _STARTING),
        Entry(f"{PROGRAMS}/python", _PYTHON, executable=True),
        Entry(f"{PROGRAMS}/fairway", _FAIRWAY, executable=True),
        Entry(WORK),
    ]


def _is_passing(path: str) -> bool:
    """Tell whether a file of the package is only a trace of its use, such as bytecode."""
    name = path.rpartition("/")[2]
    return name == "__pycache__" or name.startswith(".") or name.endswith((".pyc", "~"))


def _metadata() -> str:
    needs = "".join(f"Requires-Dist: {line}\n" for line in sorted(metadata.requires(DISTRIBUTION) or ()))
    return f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version()}\n{needs}"


def _digest(entries: list[Entry]) -> str:
    found = hashlib.sha256()
    for entry in sorted(entries, key=lambda one: one.name):
        content = entry.source.read_bytes() if isinstance(entry.source, Path) else entry.source or b""
        found.update(f"{entry.name}\0{entry.link}\0{entry.executable}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()
