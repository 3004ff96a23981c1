"""The source of a run, written to a folder from what the platform keeps."""

import hashlib
from pathlib import Path

import msgspec

from fairway.engine import bringing
from fairway.ports.platform import Platform
from fairway.spec.artifact import FileEntry
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.run import RunStatus
from fairway.spec.source import Packages, read_packages
from fairway.stores import folders

DIFFERENCE = "git.diff"
"""The file with the difference of a project from its commit."""

_MOST_LISTED = 1 << 26


class Brought(msgspec.Struct, frozen=True):
    """The source of a run in a folder.

    Attributes:
        file: the project file in that folder.
        paths: the paths of all files that were written.
        lacking: the paths of files that the store does not keep, because they held a secret.
    """

    file: Path
    paths: list[str]
    lacking: list[str]


async def bring(platform: Platform, status: RunStatus, folder: Path) -> Brought:
    """Write the source files of a run to a new folder, or to an empty one. A run that was sent to a target brings all it had.

    Raises:
        NotFound: none of its code is on record.
        UsageError: there is something in the folder.
    """
    spec = status.spec
    digest = spec.bundle or status.code
    if not digest:
        raise NotFound(
            f"run {spec.name} has no source files on record: it is of a notebook, or of an earlier version",
            hint=f"`fairway show {spec.name}` says which file it was",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and it is not empty", hint="name a new folder")
    written, lacking = list[str](), list[str]()
    for entry in await _listed(platform, digest):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await platform.bring(entry.digest, path)
        except NotFound:
            lacking.append(entry.path)
            continue
        if entry.executable:
            path.chmod(path.stat().st_mode | 0o100)
        written.append(entry.path)
    return Brought(folder / _project_file(status, [*written, *lacking]), written, lacking)


async def bring_difference(platform: Platform, status: RunStatus, folder: Path) -> bool:
    """Write the difference of the project from its commit to a folder. Return False if there is none."""
    git = status.spec.git
    if git is None or git.difference is None:
        return False
    await bringing.bring(platform, git.difference, folder / DIFFERENCE)
    return True


async def packages(platform: Platform, status: RunStatus) -> Packages | None:
    """Return the packages of a run; None if an earlier version made it."""
    listed = status.spec.packages
    if listed is None:
        return None
    return read_packages((await bringing.held(platform, listed, _MOST_LISTED)).decode(errors="replace"))


async def _listed(platform: Platform, digest: str) -> tuple[FileEntry, ...]:
    pieces, offset = list[bytes](), 0
    while offset < _MOST_LISTED and (piece := await platform.piece(digest, offset)):
        pieces.append(piece)
        offset += len(piece)
    content = b"".join(pieces)
    if hashlib.sha256(content).hexdigest() != digest:
        raise NotFound(f"the list of source files {digest[:12]} is damaged")
    # The decoder refuses a path that would lead out of the folder.
    return folders.decode(content, digest).files


def _project_file(status: RunStatus, paths: list[str]) -> str:
    """Return the path of the project file among those of its source."""
    spec = status.spec
    if spec.bundle:
        # A host names the file by its place in a copy of the bundle.
        return spec.project.partition(f"/{spec.bundle}/")[2] or spec.project
    stem = spec.module.replace(".", "/") if spec.module else Path(spec.project).stem
    package = f"{stem}/__init__.py"
    return package if package in paths and f"{stem}.py" not in paths else f"{stem}.py"
