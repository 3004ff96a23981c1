"""The state of the git repository around a project: commit, branch, and the difference of the project's files from it.

Must not know what a secret looks like, or where the difference is kept.
"""

import asyncio
import os

import msgspec

MOST_BYTES = 1 << 20
"""The bytes beyond which a difference is not kept, because it would be of data and not of code."""

_SECONDS = 2.0
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false")
"""Settings that keep git from starting programs that a repository names."""


class Found(msgspec.Struct, frozen=True):
    """The state of a repository.

    Attributes:
        difference: what `git diff` prints for files that are in the repository.
        note: the reason why there is no difference although there should be one.
    """

    commit: str = ""
    branch: str = ""
    dirty: bool = False
    difference: bytes = b""
    note: str = ""


def repository(folder: str) -> str:
    """Return the folder of the repository that contains a folder; empty without one."""
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above
    return folder


async def look(folder: str) -> Found | None:
    """Return the state of the repository around a folder, and of the files in that folder.

    Return None without a repository, without git, or if git does not answer soon.
    """
    if not repository(folder):
        return None
    try:
        async with asyncio.timeout(_SECONDS):
            return await _look(folder)
    except (OSError, TimeoutError):
        return None


async def _look(folder: str) -> Found | None:
    status = await _git(folder, "status", "--porcelain=v2", "--branch", "-z", "--", ".")
    if status is None:
        return None
    commit = branch = ""
    dirty = tracked = False
    for line in status.decode(errors="replace").split("\0"):
        if line.startswith("# branch.oid "):
            commit = line[13:].replace("(initial)", "")
        elif line.startswith("# branch.head "):
            branch = line[14:].replace("(detached)", "")
        elif line and not line.startswith("#"):
            dirty = True
            tracked = tracked or not line.startswith("?")
    if not tracked or not commit:
        return Found(commit, branch, dirty)
    words = ("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--", ".")
    difference = await _git(folder, *words)
    if difference is None:
        return Found(commit, branch, dirty, note=f"it has more than {MOST_BYTES >> 20} MiB")
    return Found(commit, branch, dirty, difference)


async def _git(folder: str, *words: str) -> bytes | None:
    """Return what git prints; None if it fails or prints too much."""
    process = await asyncio.create_subprocess_exec(
        "git", *_SAFE, "-C", folder, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        pieces, size = list[bytes](), 0
        while piece := await process.stdout.read(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                return None
        return b"".join(pieces) if await process.wait() == 0 else None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
