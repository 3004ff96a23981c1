"""The room that a store on this disk takes: the content of runs, models and endpoints, the log, and the output."""

import os
from pathlib import Path

import msgspec

from fairway.wiring.machine import LocalStores


class Room(msgspec.Struct, frozen=True):
    """Something that takes room: its name, and its bytes."""

    name: str
    size: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The room that a store takes.

    Attributes:
        parts: the parts of the store, the largest first. Together they are the whole.
        largest: the runs, versions and endpoints that need the most content that nothing else needs.
    """

    total: int
    parts: list[Room]
    largest: list[Room]


def usage(root: Path, most: int = 10) -> Usage:
    """Measure a store."""
    stores = LocalStores(root)
    owners: dict[str, list[str]] = {}
    for digest, owner in stores.metadata.owners():
        owners.setdefault(digest, []).append(owner)
    alone: dict[str, int] = {}
    kinds = {"runs": 0, "models": 0, "endpoints": 0, "schedules": 0, "shared by several": 0}
    for digest, named in owners.items():
        size = stores.artifacts.size(digest)
        if len(named) > 1:
            kinds["shared by several"] += size
            continue
        kinds[_kind(named[0])] += size
        alone[named[0]] = alone.get(named[0], 0) + size
    layout = stores.layout
    content = _on_disk(layout.blobs)
    parts = {
        f"content of {kind}" if kind[-1] == "s" else f"content {kind}": size for kind, size in kinds.items()
    }
    # Files that are in several folders are one blob, so what is referred to may count more than is there.
    parts["content that nothing refers to"] = max(0, content - sum(kinds.values()))
    parts["output and records of steps"] = _on_disk(root / "runs")
    parts["the log"] = sum(_size(path) for path in root.glob(f"{layout.database.name}*"))
    whole = _on_disk(root)
    rest = whole - content - parts["output and records of steps"] - parts["the log"]
    parts["everything else"] = max(0, rest)
    stores.close()
    largest = sorted(alone.items(), key=lambda one: (-one[1], one[0]))[:most]
    return Usage(
        total=whole,
        parts=[Room(name, size) for name, size in sorted(parts.items(), key=lambda one: -one[1]) if size],
        largest=[Room(_title(owner), size) for owner, size in largest if size],
    )


def _kind(owner: str) -> str:
    word, blank, _ = owner.partition(" ")
    return f"{word}s" if blank else "runs"


def _title(owner: str) -> str:
    return owner.removeprefix("model ") if " " in owner else f"run {owner}"


def _on_disk(folder: Path) -> int:
    """Return the bytes of all files in a folder. A file that goes meanwhile counts as none."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
