"""The sending of a project to the platform of a target: only the content that its store lacks, and nothing secret."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairway.local.bundling import Bundle, BundledFile, collect
from fairway.local.digests import DigestCache
from fairway.spec.errors import StorageError, UsageError
from fairway.wiring import origin
from fairway.wiring.targets import cache_folder

if TYPE_CHECKING:
    from fairway.remote import RemotePlatform
    from fairway.spec.run import RunRequest

_TOGETHER = 8
"""Files that are sent at one time at most."""

_ASKED_AT_ONCE = 5000
_TRIES = 3


class Sent(msgspec.Struct, frozen=True):
    """A project that was sent.

    Attributes:
        files: the number of files that were sent. Files that were there already do not count.
        size: the bytes of these files.
        bundle: all files of the project.
    """

    files: int
    size: int
    bundle: Bundle

    def path_there(self, text: str) -> str:
        """Return the path on the target of a file or folder of the project. Code runs in the folder of the project there.

        An address stays as it is.

        Raises:
            UsageError: the file was not sent.
        """
        if "://" in text:
            return text
        path = self.bundle.path_of(os.path.abspath(text))
        if not path:
            raise UsageError(
                f"{text} is not sent with the project {self.bundle.folder}",
                hint="put it into the project's folder, and see that `exclude` of [tool.fairway] does not leave it out",
            )
        return path


class _Changed(Exception):
    """The error for a file that was changed since its digest was taken."""


async def send(platform: "RemotePlatform", request: "RunRequest", named: Sequence[str] = ()) -> Sent:
    """Send the project of a request to a platform, and let the request name it there.

    The list of the files is sent last, so that a platform which has the list has all files.

    Args:
        request: its `file` is a path of this machine. From then on it is a path in the bundle.
        named: files and folders that the user named, which are sent even if `.gitignore` leaves them out.

    Raises:
        UsageError: the project is too large, or a file holds what looks like a secret. Nothing was sent.
        FairwayError: the platform cannot be reached, or refused.
    """
    for _ in range(_TRIES):
        bundle = collect(request.file, request.module, _cache(request.file), named)
        try:
            sent = await _send(platform, bundle)
        except _Changed:
            continue
        request.file, request.module, request.bundle = bundle.file, bundle.module, bundle.digest
        request.git, difference = await origin.look(bundle.folder)
        if difference:
            await platform.put(hashlib.sha256(difference).hexdigest(), difference)
        return sent
    raise StorageError(
        f"{request.file} or a file beside it changes while it is sent", hint="wait until it is written"
    )


async def _send(platform: "RemotePlatform", bundle: Bundle) -> Sent:
    by_digest = {one.entry.digest: one for one in bundle.files}
    digests = [*by_digest, bundle.digest]
    lacking: set[str] = set()
    for start in range(0, len(digests), _ASKED_AT_ONCE):
        lacking |= set(await platform.missing(digests[start : start + _ASKED_AT_ONCE]))
    files = [one for digest, one in by_digest.items() if digest in lacking]
    await asyncio.to_thread(_refuse_secrets, bundle, files, platform.place)
    room = asyncio.Semaphore(_TOGETHER)

    async def put(file: BundledFile) -> None:
        async with room:
            await platform.put(file.entry.digest, await asyncio.to_thread(_content, file))

    sending = [asyncio.ensure_future(put(file)) for file in files]
    try:
        await asyncio.gather(*sending)
    finally:
        for task in sending:
            task.cancel()
    if bundle.digest in lacking:
        await platform.put(bundle.digest, bundle.manifest)
    return Sent(len(files), sum(file.entry.size for file in files), bundle)


def _content(file: BundledFile) -> bytes:
    """Read a file as it was described. Raises _Changed if it is not the same any more."""
    try:
        content = Path(file.place).read_bytes()
    except FileNotFoundError:
        raise _Changed from None
    if hashlib.sha256(content).hexdigest() != file.entry.digest:
        raise _Changed
    return content


def _refuse_secrets(bundle: Bundle, files: list[BundledFile], place: str) -> None:
    """Refuse to send a file that holds what looks like a secret, unless the project says that it is none. Raises UsageError."""
    from fairway.author import redaction, secret_names
    from fairway.author.secret_files import suspicion

    redaction.name_more(secret_names.read(Path(bundle.folder)))
    redaction.refresh()
    for file in files:
        path = file.entry.path
        if bundle.wanted.keeps(path):
            continue
        why = suspicion(path, _content(file))
        if why:
            raise UsageError(
                f"{path} is not sent to {place}, because {why}",
                hint=f'leave it out: `exclude = ["/{path}"]` in [tool.fairway] of pyproject.toml; '
                f'if it is no secret: `exclude = ["!/{path}"]`',
            )


def _cache(file: str) -> DigestCache:
    """Return the digests of the files of a project that were read before."""
    name = hashlib.sha256(os.path.dirname(file).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return DigestCache(str(cache_folder() / "digests" / f"{name}.json"))
