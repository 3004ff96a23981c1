"""The list of a project's files: what git tracks or would track, or what the rules of `.gitignore` leave without git.

Must not know what becomes of the files.
"""

import os
import subprocess

from fairway.local.ignoring import Rules

_NEVER = frozenset(
    (
        ".fairway", ".git", ".hg", ".svn", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache",
        ".ipynb_checkpoints", ".hypothesis", ".tox", ".nox", ".eggs", "node_modules", "site-packages", ".DS_Store",
        ".cache",
    )
)  # fmt: skip
"""Names of files and folders that are part of no project."""

_MARKS = ("pyvenv.cfg", "fairway.db")
"""Files that mark a folder as a virtual environment, or as a store of Fairway."""

_GIT_SECONDS = 60.0


def listed(folder: str) -> list[str]:
    """Return the paths of a folder's files below it. A repository within it has rules of its own."""
    paths = _by_git(folder)
    return _by_rules(folder) if paths is None else paths


def _by_git(folder: str) -> list[str] | None:
    """Return what git tracks or would track; None where no repository has the folder, or leaves it out as a whole."""
    if not any(os.path.exists(os.path.join(place, ".git")) for place in _upwards(folder)):
        return None
    # Variables of git name a repository, such as the one whose hook started this process.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return None
    paths = [os.fsdecode(path) for path in answer.stdout.split(b"\0") if path]
    if not paths:
        return None
    found: list[str] = []
    for path in dict.fromkeys(paths):
        inner = os.path.join(folder, path)
        if os.path.isdir(inner) and not os.path.islink(inner):
            path = path.rstrip("/")
            found += [f"{path}/{below}" for below in listed(inner)]
        else:
            found.append(path)
    return _without_marked([path for path in found if _NEVER.isdisjoint(path.split("/"))])


def _without_marked(paths: list[str]) -> list[str]:
    """Leave out the files of virtual environments and stores."""
    inside = [path[: -len(name)] for path in paths if (name := os.path.basename(path)) in _MARKS]
    inside = [path for path in inside if path]
    return [path for path in paths if not path.startswith(tuple(inside))] if inside else paths


def _by_rules(folder: str) -> list[str]:
    """Return the files that the rules of `.gitignore` leave."""
    found: list[str] = []
    waiting = [("", Rules())]
    while waiting:
        base, rules = waiting.pop()
        place = os.path.join(folder, base) if base else folder
        rules = rules.and_of(place, base)
        try:
            with os.scandir(place) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if base and any(entry.name in _MARKS for entry in inside):
            continue
        for entry in inside:
            path = f"{base}/{entry.name}" if base else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name in _NEVER or rules.leaves_out(path, is_folder=is_folder):
                continue
            if is_folder:
                waiting.append((path, rules))
            else:
                found.append(path)
    return found


def _upwards(folder: str) -> list[str]:
    folder = os.path.realpath(folder)
    found = [folder]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found
