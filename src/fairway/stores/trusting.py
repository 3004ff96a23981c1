"""The taking over of a store that somebody else made: its content is checked, and then sealed with the key of this user.

Tokens, sockets and folders made from blobs are removed. They can be made again, or belong to a process of another machine.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from fairway import confined
from fairway.spec.errors import StorageError
from fairway.spec.event import RevisionCreated, RunStarted
from fairway.stores.connections import CommitLock
from fairway.stores.copying import rewrite
from fairway.stores.durable import remove_tree
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata, backed_up

_NOT_TAKEN = ("platform", "endpoints", "blobs/tree", "blobs/tmp")


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a store that is used once the store is trusted.

    Attributes:
        runs: number of runs.
        projects: files that `fairway resume` would import.
        models: registered versions, such as "churn:3".
        code: the models whose content can run code when it is loaded.
        endpoints: names of endpoints that `fairway up` would start.
        functions: the endpoints that are functions of a project, which are code.
    """

    runs: int
    projects: tuple[str, ...]
    models: tuple[str, ...]
    code: tuple[str, ...]
    endpoints: tuple[str, ...]
    functions: tuple[str, ...]


def held(metadata: SqliteMetadata, code_formats: frozenset[str]) -> Held:
    """Read the content of a store as data; nothing of it is run. Raises StorageError."""
    versions = [version for model in metadata.models() for version in metadata.versions(model.name)]
    wanted = [status for status in metadata.endpoints() if status.wanted]
    projects: dict[str, None] = {}
    for event in metadata.events():
        if isinstance(event.body, RunStarted):
            projects[event.body.spec.project] = None
        elif isinstance(event.body, RevisionCreated) and event.body.revision.module:
            projects[event.body.revision.module] = None
    return Held(
        runs=len(metadata.run_names()),
        projects=tuple(projects),
        models=tuple(f"{version.name}:{version.version}" for version in versions),
        code=tuple(
            f"{version.name}:{version.version}"
            for version in versions
            if version.candidate.artifact.format in code_formats
        ),
        endpoints=tuple(status.name for status in wanted),
        functions=tuple(
            status.name for status in wanted if status.revision is not None and status.revision.function
        ),
    )


def trust(layout: Layout) -> None:
    """Make a store belong to this user, with everything in it.

    Raises:
        StorageError: the store contains links or files of other users, or its log is damaged. Nothing has changed then.
    """
    root = str(layout.root)
    odd = next(strangers(root), "")
    if odd:
        raise StorageError(
            f"{odd} is a link, or not a file of yours, so the store cannot be taken over",
            hint=f"remove it if nothing needs it: `rm {odd}`",
        )
    with Explaining("taking over the store", root):
        for name in _NOT_TAKEN:
            remove_tree(f"{root}/{name}")
        if confined.file(str(layout.database)):
            rows, _ = backed_up(layout.database, live=True)
            with CommitLock(layout.lock) as lock:
                rewrite(rows, layout.database, layout.adopt(anew=True))
                lock.forget()
            lock.close()
        else:
            layout.adopt(anew=True)
        mend(root)


def strangers(root: str) -> Iterator[str]:
    """Yield the paths in a store that are neither a file nor a folder of this user. Folders made from blobs are left out."""
    for folder, folders, files in os.walk(root):
        if folder == f"{root}/blobs":
            folders[:] = [name for name in folders if name != "tree"]
        for name in (*folders, *files):
            path = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                found = os.lstat(path)
                kinds = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
                if not kinds or found.st_uid != os.geteuid():
                    yield path


def open_to_others(root: str) -> Iterator[str]:
    """Yield the paths below a store that others may read or write, and the store itself if others may write to it."""
    if os.lstat(root).st_mode & 0o022:
        yield root
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = f"{folder}/{name}"
            with suppress(FileNotFoundError):
                found = os.lstat(path)
                if found.st_mode & 0o077 and found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode):
                    yield path


def mend(root: str) -> int:
    """Remove the permissions of others in a store and return the number of changed files and folders."""
    count = 0
    for path in open_to_others(root):
        with suppress(FileNotFoundError):
            keep = 0o755 if path == root else 0o700
            os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & keep)
            count += 1
    return count
