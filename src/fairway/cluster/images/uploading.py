"""The upload of a blob: nothing if it is there, a mount if a neighbour has it, else its bytes, from where a broken try ended.

A blob goes in one request, because every registry takes that. Only an upload that broke, or one that something in between
refuses as too large, goes on in parts.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import msgspec

from fairway.cluster.images.names import Repository
from fairway.cluster.images.refusals import RegistryError, RegistryUnreachable
from fairway.cluster.images.registry import Body, Registry, pulls, pushes
from fairway.spec.errors import FairwayError

_PART = 2**18
_TRIES = 6
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
_SMALLEST_LIMIT = 2**18
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_OCTETS = {"Content-Type": "application/octet-stream"}

Progress = Callable[[int], None]
"""A function that is called with the number of bytes that were sent since its last call."""


class Blob(msgspec.Struct, frozen=True):
    """A content to upload: bytes in memory or a file.

    Attributes:
        digest: the digest of the content.
        size: the number of bytes.
        content: the bytes, or the path of the file.
    """

    digest: str
    size: int
    content: bytes | Path


class _Upload(msgspec.Struct):
    """An upload that was begun.

    Attributes:
        location: the address that takes the next bytes.
        offset: the number of bytes that the registry has.
        limit: the largest part that is sent in one request; 0 for no limit.
    """

    location: str
    offset: int = 0
    limit: int = 0


async def push_blob(
    registry: Registry,
    repository: Repository,
    blob: Blob,
    *,
    source: Repository | None = None,
    progress: Progress | None = None,
) -> int:
    """Make a blob present in a repository, and return the number of bytes that were sent for it.

    Args:
        registry: the registry.
        repository: the repository that shall have the blob.
        blob: the content.
        source: a repository that may have the blob already. It counts only if it is in the same registry.
        progress: called while bytes are sent.

    Raises:
        FairwayError: the registry refused, or could not be reached for longer than some tries last.
    """
    if await registry.has_blob(repository, blob.digest):
        return 0
    upload = None
    if source is not None and source.place.host == repository.place.host and source.path != repository.path:
        upload = await _mount(registry, repository, blob.digest, source)
        if upload == "":
            return 0
    return await _send(registry, repository, blob, upload or None, progress or _ignore)


async def mount_blob(registry: Registry, repository: Repository, digest: str, source: Repository) -> bool:
    """Make a blob of another repository of the registry present. Tell whether it is. Raises FairwayError."""
    if await registry.has_blob(repository, digest):
        return True
    return await _mount(registry, repository, digest, source) == ""


async def _mount(registry: Registry, repository: Repository, digest: str, source: Repository) -> str | None:
    """Ask for a blob of another repository.

    Returns:
        Empty text if the blob is there now, the address of an upload if the registry began one instead, and None if the
        user's login does not cover the other repository.
    """
    url = (
        f"{registry.place.url}/v2/{repository.path}/blobs/uploads/"
        f"?mount={quote(digest)}&from={quote(source.path, safe='')}"
    )
    try:
        async with registry.request("POST", url, pushes(repository) | pulls(source)) as response:
            if response.status_code == 201:
                return ""
            if response.status_code == 202 and response.headers.get("location"):
                return _location(registry, url, response.headers["location"])
            return None
    except RegistryUnreachable:
        raise
    except FairwayError:
        # The token server refuses the pair of rights. The plain upload asks for its own right alone.
        return None


async def _send(
    registry: Registry, repository: Repository, blob: Blob, location: str | None, progress: Progress
) -> int:
    upload = _Upload(location) if location else await _begin(registry, repository)
    sent = 0
    failures = 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size
        progress(size)

    while True:
        before = upload.offset
        try:
            await _advance(registry, repository, blob, upload, count)
            if upload.offset >= blob.size:
                await _finish(registry, repository, blob, upload)
                return sent
            failures = 0
        except RegistryUnreachable:
            if await _is_there(registry, repository, blob):
                return sent
            failures += 1
            if failures > _TRIES:
                raise
            await asyncio.sleep(min(_FIRST_WAIT * 2**failures, _LONGEST_WAIT))
            upload = await _taken_up(registry, repository, upload)
            if upload.offset > before:
                failures = 1


async def _begin(registry: Registry, repository: Repository) -> _Upload:
    url = f"{registry.place.url}/v2/{repository.path}/blobs/uploads/"
    async with registry.request("POST", url, pushes(repository)) as response:
        if response.status_code != 202 or not response.headers.get("location"):
            raise await registry.refusal(response, repository, "push")
        return _Upload(_location(registry, url, response.headers["location"]))


async def _advance(
    registry: Registry, repository: Repository, blob: Blob, upload: _Upload, count: Progress
) -> None:
    """Send the rest of a blob, or the next part if there is a limit, and note how far the registry got."""
    left = blob.size - upload.offset
    if left <= 0:
        return
    size = min(left, upload.limit) if upload.limit else left
    start = upload.offset
    headers = dict(_OCTETS)
    if start or size < blob.size:
        headers["Content-Range"] = f"{start}-{start + size - 1}"
    body = Body(size, lambda: _read(blob, start, size, count), headers)
    async with registry.request("PATCH", upload.location, pushes(repository), body=body) as response:
        if response.status_code == 413 and size > _SMALLEST_LIMIT:
            upload.limit = max(size // 2, _SMALLEST_LIMIT)
            return
        if response.status_code in (404, 416):
            raise RegistryUnreachable(f"{registry.place.host} lost an upload in the middle", hint="try again")
        if response.status_code not in (201, 202, 204):
            raise await registry.refusal(response, repository, "push")
        upload.location = _location(registry, upload.location, response.headers.get("location", ""))
        upload.offset = _end_of(response.headers.get("range", ""), start + size)
    if upload.offset <= start:
        raise RegistryUnreachable(f"{registry.place.host} took bytes and has none of them", hint="try again")


async def _finish(registry: Registry, repository: Repository, blob: Blob, upload: _Upload) -> None:
    mark = "&" if urlsplit(upload.location).query else "?"
    url = f"{upload.location}{mark}digest={quote(blob.digest)}"
    async with registry.request("PUT", url, pushes(repository)) as response:
        if response.status_code in (201, 204):
            return
        refusal = await registry.refused(response)
    if "DIGEST_INVALID" in refusal.codes:
        raise RegistryError(
            f"{registry.place.host} got other bytes than were meant for {blob.digest}", hint="try again"
        )
    if refusal.status == 404 or refusal.status >= 500:
        raise RegistryUnreachable(
            f"{registry.place.host} failed at the end of an upload (HTTP {refusal.status})", hint="try again"
        )
    raise RegistryError(
        f"{registry.place.host} refused the end of an upload (HTTP {refusal.status}): {refusal.text}"
    )


async def _is_there(registry: Registry, repository: Repository, blob: Blob) -> bool:
    """Tell whether a blob arrived although the answer did not."""
    try:
        return await registry.has_blob(repository, blob.digest)
    except FairwayError:
        return False


async def _taken_up(registry: Registry, repository: Repository, upload: _Upload) -> _Upload:
    """Return the upload at the place where the registry has it, or a new one if the registry knows it no longer."""
    try:
        async with registry.request("GET", upload.location, pushes(repository)) as response:
            if response.status_code in (200, 204):
                offset = _end_of(response.headers.get("range", ""), 0)
                location = _location(registry, upload.location, response.headers.get("location", ""))
                return _Upload(location, offset, upload.limit)
        begun = await _begin(registry, repository)
    except RegistryUnreachable:
        # The registry is still out of reach. The next failure counts again.
        return upload
    return _Upload(begun.location, 0, upload.limit)


def _end_of(header: str, otherwise: int) -> int:
    """Return the number of bytes that a header `Range: 0-N` means.

    Registries write `0-0` for no byte and for one byte.
    """
    found = _RANGE.fullmatch(header.strip())
    if not found:
        return otherwise
    end = int(found[1])
    return end + 1 if end or otherwise == 1 else 0


def _location(registry: Registry, asked: str, location: str) -> str:
    """Return the next address of an upload. A proxy that ends TLS may make registries write `http` for themselves."""
    if not location:
        return asked
    joined = urlsplit(urljoin(asked, location))
    if joined.scheme not in ("http", "https"):
        raise RegistryError(f"{registry.place.host} sends an upload to an address that is not of the web")
    own = urlsplit(registry.place.url)
    if joined.hostname == own.hostname and joined.scheme == "http" and own.scheme == "https":
        joined = joined._replace(scheme="https", netloc=own.netloc)
    return urlunsplit(joined)


async def _read(blob: Blob, start: int, size: int, count: Progress) -> AsyncIterator[bytes]:
    """Yield a part of a blob and count its bytes."""
    if isinstance(blob.content, bytes):
        for at in range(start, start + size, _PART):
            part = blob.content[at : min(at + _PART, start + size)]
            yield part
            count(len(part))
        return
    fd = os.open(blob.content, os.O_RDONLY | os.O_CLOEXEC)
    try:
        left = size
        while left:
            part = os.pread(fd, min(_PART, left), start + size - left)
            if not part:
                raise RegistryError(f"{blob.content} became shorter while it was sent", hint="try again")
            yield part
            count(len(part))
            left -= len(part)
    finally:
        os.close(fd)


def _ignore(_: int) -> None:
    return None
