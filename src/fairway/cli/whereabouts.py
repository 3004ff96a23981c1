"""The store that a command uses, and the commands to type when another store is meant."""

import os
from pathlib import Path

from fairway.cli import targeting
from fairway.wiring import settings

_MOST = 500
_SHOWN = 3


def from_here(command: str, root: Path | None) -> str:
    """Return a command as it must be typed here.

    It has the target that was typed for this command. If this folder has another store, it begins with a change of folder.

    Args:
        root: the folder of the store; None on a target.
    """
    if targeting.typed():
        command = f"{command} --target {targeting.typed()}"
    if root is None or root == settings.store_root():
        return command
    import shlex

    here, folder = Path.cwd(), root.parent
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f"cd {shlex.quote(str(shown))} && {command}"


def elsewhere() -> str:
    """Return a hint if this folder has no store and folders below have one. Else, and on a target, return ""."""
    if targeting.is_away() or (settings.store_root() / "store.json").exists():
        return ""
    import shlex

    found = _stores_below(Path.cwd())[:_SHOWN]
    named = " or ".join(f"`cd {shlex.quote(str(folder))}`" for folder in found)
    return f"there is no store here; a project below has one: {named}" if found else ""


def _stores_below(folder: Path) -> list[Path]:
    """Return the folders with a store one and two levels below, relative to `folder`."""
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
