"""The state of the repository of a project, with a difference that holds no secret, for the record of a run."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.local import git
from fairway.spec.artifact import Artifact
from fairway.spec.source import GitState

if TYPE_CHECKING:
    from fairway.local.git import Found


async def look(folder: str) -> tuple[GitState | None, bytes]:
    """Return the state of the repository around a project's folder, and the content of its difference, which is to be kept."""
    found = await git.look(folder)
    return _judged(found, folder) if found is not None else (None, b"")


def _judged(found: "Found", folder: str) -> tuple[GitState, bytes]:
    note, content = found.note, found.difference
    if content:
        why = _secret(content, folder)
        if why:
            note, content = why, b""
    difference = None
    if content:
        digest = hashlib.sha256(content).hexdigest()
        difference = Artifact(format="file", digest=digest, size=len(content), kind="text", note="git.diff")
    state = GitState(
        commit=found.commit, branch=found.branch, dirty=found.dirty, difference=difference, note=note
    )
    return state, content


def _secret(content: bytes, folder: str) -> str:
    """Return why a difference is not kept; empty for an innocent one. Each file in it is judged by its own name."""
    from fairway.author import redaction, secret_names
    from fairway.author.secret_files import suspicion

    redaction.name_more(secret_names.read(Path(folder)))
    redaction.refresh()
    for part in content.split(b"\ndiff --git "):
        head = part.removeprefix(b"diff --git ").partition(b"\n")[0].decode(errors="replace")
        path = head.rpartition(" b/")[2]
        why = suspicion(path, part)
        if why:
            return f"of {path}, because {why}"
    return ""
