"""Tells a person which project's store a command looks into, and what to type where another one is meant."""

import os
from pathlib import Path

from fairway.wiring import settings

_MOST = 500
_SHOWN = 3


def from_here(command: str, root: Path) -> str:
    """The command as it is to be typed: with a change of folder where another store than this is meant here."""
    if root == settings.store_root():
        return command
    import shlex

    here, folder = Path.cwd(), root.parent
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f"cd {shlex.quote(str(shown))} && {command}"


def elsewhere() -> str:
    """A hint for somebody in a folder without a store, below which there are some; empty otherwise."""
    if (settings.store_root() / "store.json").exists():
        return ""
    import shlex

    found = _stores_below(Path.cwd())[:_SHOWN]
    named = " or ".join(f"`cd {shlex.quote(str(folder))}`" for folder in found)
    return f"there is no store here; a project below has one: {named}" if found else ""


def _stores_below(folder: Path) -> list[Path]:
    """Folders with a store one and two levels below, as they are typed here."""
    level, found = [folder], list[Path]()
    for _ in range(2):
        below: list[Path] = []
        for place in level[:_MOST]:
            try:
                below += [Path(entry.path) for entry in os.scandir(place) if _is_plain(entry)]
            except OSError:
                continue
        level = sorted(below)
        found += [
            place.relative_to(folder)
            for place in level[:_MOST]
            if (place / settings.STORE_NAME / "store.json").exists()
        ]
    return found


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
