"""The content of a version as files with their digests, and the way of such a file to a browser.

A file is sent as a download in pieces. Its last piece is sent only if the content matches its digest.
"""

import hashlib
from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec
from starlette.responses import Response, StreamingResponse

from fairway.formats.exporting import usual_suffix
from fairway.pages.visit import SAFE
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, Manifest
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import CorruptArtifact, FairwayError, NotFound
from fairway.spec.model import ModelVersion

_MOST_FILES = 500


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a version.

    Attributes:
        part: the part of the version: "model", "onnx", "samples" or "sources".
        number: the number of the file within its part.
        name: the name of the file for people.
        saved_as: the name of the file when it is downloaded.
        digest: the sha256 of the content.
        size: the bytes of the content.
        inline: the content itself, if it is small.
    """

    part: str
    number: int
    name: str
    saved_as: str
    digest: str
    size: int
    inline: bytes | None = None


async def contents(platform: Platform, version: ModelVersion) -> list[Content]:
    """Return the files of a version, at most some hundreds of each part. Raises FairwayError."""
    candidate = version.candidate
    found = await _files(platform, version, "model", candidate.artifact)
    for part, artifact in (("onnx", candidate.compiled), ("samples", candidate.samples)):
        if artifact is not None:
            found += await _files(platform, version, part, artifact)
    found += [
        Content(
            part="sources",
            number=number,
            name=file.path,
            saved_as=file.path.rpartition("/")[2],
            digest=file.digest,
            size=file.size,
        )
        for number, file in enumerate(candidate.sources[:_MOST_FILES])
    ]
    return found


async def content(platform: Platform, version: ModelVersion, part: str, number: str) -> Content:
    """Return one file of a version. Raises NotFound."""
    for one in await contents(platform, version):
        if (one.part, str(one.number)) == (part, number):
            return one
    raise NotFound(f"{version} has no such file", hint=f"`fairway models show {version.name}` lists them")


def download(platform: Platform, file: Content) -> Response:
    """Return the answer that a browser saves as a file."""
    plain = "".join(
        letter if (letter.isascii() and letter.isalnum()) or letter in "-_." else "-"
        for letter in file.saved_as
    )
    headers = SAFE | {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.saved_as, safe='')}",
        "content-length": str(file.size),
        "etag": f'"{file.digest}"',
    }
    if file.inline is not None:
        return Response(file.inline, 200, headers, "application/octet-stream")
    return StreamingResponse(_pieces(platform, file), 200, headers, "application/octet-stream")


async def _pieces(platform: Platform, file: Content) -> AsyncIterator[bytes]:
    """Yield the content in pieces. Raises CorruptArtifact before the last one, which breaks the connection."""
    found, offset, kept = hashlib.sha256(), 0, b""
    while piece := await platform.piece(file.digest, offset):
        if kept:
            yield kept
        found.update(piece)
        offset, kept = offset + len(piece), piece
    if found.hexdigest() != file.digest:
        raise CorruptArtifact(f"the content {file.digest[:12]} does not match its digest")
    yield kept


async def _files(platform: Platform, version: ModelVersion, part: str, artifact: Artifact) -> list[Content]:
    suffix = ".json" if part == "samples" else usual_suffix(artifact.format)
    stem = f"{version.name}-{version.version}"
    named = {"samples": f"{stem}-samples{suffix}"}.get(part, f"{stem}{suffix}")
    if not artifact.files:
        return [
            Content(
                part=part,
                number=0,
                name=named,
                saved_as=named,
                digest=artifact.digest,
                size=artifact.size,
                inline=artifact.inline,
            )
        ]
    entries = await _manifest(platform, artifact.digest)
    return [
        Content(
            part=part,
            number=number,
            name=f"{named}/{entry.path}",
            saved_as=entry.path.rpartition("/")[2],
            digest=entry.digest,
            size=entry.size,
        )
        for number, entry in enumerate(entries.files[:_MOST_FILES])
    ]


async def _manifest(platform: Platform, digest: str) -> Manifest:
    """Read the list of the files of an artifact. Raises FairwayError."""
    data, offset = b"", 0
    while piece := await platform.piece(digest, offset):
        data += piece
        offset += len(piece)
    if hashlib.sha256(data).hexdigest() != digest:
        raise CorruptArtifact(f"the content {digest[:12]} does not match its digest")
    try:
        return msgspec.json.decode(data, type=Manifest)
    except UNREADABLE:
        raise FairwayError(f"the list of files {digest[:12]} cannot be read") from None
