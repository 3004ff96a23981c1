"""Models as packages: a version is written to a folder with all its content, and read back only if no byte was changed.

The package has a digest, which stands for every byte in it. Nothing in a package is run when it is read. A model whose
content can run code is not taken, because no run of this store made it. A person may sign a package. The signature is over the
list, which has the digest of everything else. Must not know how a signature is made.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from fairway.formats import CODE_FORMATS
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, is_digest, sources_of
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import CorruptArtifact, NotAllowed, UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import Candidate, Gates, Lineage, ModelVersion
from fairway.spec.names import check_registered
from fairway.spec.package import CONTENT, FORMAT, LIST, SEAL, SIGNATURE, VERSION, Listed, PackageList
from fairway.stores import folders

Sign = Callable[[bytes], bytes]
"""Function that returns a signature over a content. Raises FairwayError."""

Signer = Callable[[bytes, bytes], str]
"""Function that returns the name of the trusted person who made a signature over a content. Raises NotAllowed."""

_LARGEST = 64 * 2**20
_LARGEST_SIGNATURE = 2**16


class Contents(Protocol):
    """A store of content by digest."""

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file. Return its digest and its size."""
        ...


class Registry(Protocol):
    """A store of versions."""

    def register(
        self,
        candidate: Candidate,
        lineage: Lineage,
        judge: Callable[[Evaluation | None], None],
        aliases: tuple[str, ...],
    ) -> ModelVersion:
        """Give a model the next number."""
        ...


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A package whose every byte was checked.

    Attributes:
        signer: the trusted person who signed it. It is empty if nobody asked for one.
        signed: true if there is a signature, checked or not.
    """

    version: ModelVersion
    digest: str
    signer: str = ""
    signed: bool = False


async def write(platform: Platform, version: ModelVersion, folder: Path, sign: Sign | None = None) -> str:
    """Write a version to a new folder. Return the digest of the package. Raises FairwayError.

    Args:
        sign: signs the package. If that fails, no package is left.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty", hint="name a new folder")
    (folder / CONTENT).mkdir(parents=True, exist_ok=True)
    (folder / VERSION).write_bytes(msgspec.json.encode(version))
    for artifact in _artifacts(version.candidate):
        for digest in await _brought(platform, artifact, folder / CONTENT):
            target = folder / CONTENT / digest
            if not target.exists():
                await platform.bring(digest, target)
    files = {path: Listed(*_measured(folder / path)) for path in _paths(folder)}
    listed = PackageList(format=FORMAT, model=version.name, version=version.version, files=files)
    (folder / LIST).write_bytes(msgspec.json.format(msgspec.json.encode(listed), indent=1))
    content = (folder / LIST).read_bytes()
    if sign is not None:
        try:
            (folder / SIGNATURE).write_bytes(sign(content))
        except BaseException:
            # Somebody who asked for a signature must not take a package without one for it.
            shutil.rmtree(folder)
            raise
    digest = _digest(content)
    (folder / SEAL).write_text(f"{digest}\n")
    return digest


def read(folder: Path, expected: str = "", signer: Signer | None = None) -> Package:
    """Check every byte of a package and return what it is.

    Args:
        expected: the digest that the package must have. Without it, any package that is whole will do.
        signer: tells who signed it. Without it, nobody has to have signed it.

    Raises:
        CorruptArtifact: a byte was changed, or a file is missing or was added.
        NotAllowed: the model can run code, or nobody who is trusted signed it.
        UsageError: the folder is no package.
    """
    for name in (LIST, SEAL, VERSION):
        if not (folder / name).is_file() or (folder / name).stat().st_size > _LARGEST:
            raise UsageError(
                f"{folder} is no package of a model: it has no {name}",
                hint="`fairway models export MODEL DIR`",
            )
    # The list is read once. What is checked here is what is used below, whatever becomes of the file meanwhile.
    content = (folder / LIST).read_bytes()
    digest = _digest(content)
    if (folder / SEAL).read_text("utf-8", "replace").strip() != digest:
        raise _changed(f"{LIST} of {folder} was changed")
    if expected and expected.removeprefix("sha256:") != digest:
        raise CorruptArtifact(
            f"{folder} is another package: sha256 {digest}",
            hint="compare with what `fairway models export` printed",
        )
    signature = _signature(folder)
    who = _trusted(folder, content, signature, signer) if signer is not None else ""
    version = _checked(folder, content)
    check_registered(version.name)
    _refuse_code(version)
    return Package(version=version, digest=digest, signer=who, signed=bool(signature))


def _checked(folder: Path, content: bytes) -> ModelVersion:
    """Compare every file of a package with the content of its list, and return the version in it.

    Raises:
        CorruptArtifact: a byte was changed, or a file is missing or was added.
        UsageError: the list or the version cannot be read.
    """
    try:
        listed = msgspec.json.decode(content, type=PackageList)
        if listed.format != FORMAT or set(listed.files) != set(_paths(folder)):
            raise _changed(f"{folder} has other files than its list")
        for path, known in listed.files.items():
            if _measured(folder / path) != (known.digest, known.size):
                raise _changed(f"{path} of {folder} was changed")
        record = (folder / VERSION).read_bytes()
        if _digest(record) != listed.files[VERSION].digest:
            raise _changed(f"{VERSION} of {folder} was changed")
        return msgspec.json.decode(record, type=ModelVersion)
    except UNREADABLE as error:
        raise UsageError(f"{folder} is no package of a model: {error}") from None


def _changed(what: str) -> CorruptArtifact:
    """Return the error for a package that is not as it was exported."""
    return CorruptArtifact(what, hint="export the model again")


def take(package: Package, folder: Path, contents: Contents, registry: Registry) -> ModelVersion:
    """Register the model of a package that was read as the next version of its name. Raises FairwayError.

    Nothing is registered then.
    """
    version = package.version
    for path in sorted((folder / CONTENT).iterdir()):
        if contents.put_file(path)[0] != path.name:
            raise _changed(f"{path.name} of {folder} was changed")
    lacking = [
        one for artifact in _artifacts(version.candidate) for one in _needed(artifact, folder / CONTENT)
    ]
    if any(not (folder / CONTENT / one).is_file() for one in lacking):
        raise _changed(f"{folder} lacks content of {version}")
    before = version.lineage
    signed = f", signed by {package.signer}" if package.signer else ""
    note = f"imported from {version.name}:{version.version}, package sha256 {package.digest[:16]}{signed}"
    described = "\n".join(filter(None, (version.candidate.description, note)))
    # Gates and aliases belong to the store that the model comes from: here nobody has compared it with anything.
    candidate = msgspec.structs.replace(version.candidate, gates=Gates(), aliases=(), description=described)
    lineage = msgspec.structs.replace(before, run="", step="", producer="")
    return registry.register(candidate, lineage, lambda rival: None, ())


def _signature(folder: Path) -> bytes:
    """Return the signature of a package; nothing without one. Raises CorruptArtifact."""
    path = folder / SIGNATURE
    if not path.exists() and not path.is_symlink():
        return b""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_SIGNATURE:
        raise _changed(f"{SIGNATURE} of {folder} is no signature")
    return path.read_bytes()


def _trusted(folder: Path, content: bytes, signature: bytes, signer: Signer) -> str:
    """Return who signed a package. Raises NotAllowed."""
    if not signature:
        raise NotAllowed(
            f"{folder} is not signed",
            hint="ask for it with a signature: `fairway models export MODEL DIR --sign KEY`",
        )
    try:
        return signer(content, signature)
    except NotAllowed as error:
        raise NotAllowed(f"{folder} is not taken: {error.message}", hint=error.hint) from None


def _refuse_code(version: ModelVersion) -> None:
    """Refuse a model that can only be served by running code that came with it. Raises NotAllowed."""
    artifact = version.candidate.artifact
    if (artifact.format in CODE_FORMATS or artifact.code) and version.candidate.compiled is None:
        raise NotAllowed(
            f"{version} is kept as {artifact.format}, which can run code, and it has no ONNX form",
            hint="register its ONNX form where it was made, and export that version",
        )


def _artifacts(candidate: Candidate) -> Iterator[Artifact]:
    """Yield all content of a version that is not in its record."""
    for one in (candidate.artifact, candidate.compiled, candidate.samples):
        if one is None:
            continue
        if one.inline is None:
            yield one
        if one.code:
            yield sources_of(one)


async def _brought(platform: Platform, artifact: Artifact, folder: Path) -> list[str]:
    """Bring the content of an artifact, or the list of its files. Return the digests of all its parts."""
    target = folder / artifact.digest
    if not target.exists():
        await platform.bring(artifact.digest, target)
    return _needed(artifact, folder)


def _needed(artifact: Artifact, folder: Path) -> list[str]:
    """Return the digests of an artifact and of its files. The list of the files is in a folder."""
    if not artifact.files:
        return [artifact.digest]
    found = folders.decode((folder / artifact.digest).read_bytes(), artifact.digest)
    return [artifact.digest, *(entry.digest for entry in found.files)]


def _paths(folder: Path) -> list[str]:
    """Return the files that a package lists. Raises CorruptArtifact for anything else in its folder."""
    content = sorted(os.listdir(folder / CONTENT))
    others = set(os.listdir(folder)) - {CONTENT, VERSION, LIST, SEAL, SIGNATURE}
    files = [folder / CONTENT / name for name in content] + [folder / VERSION]
    odd = next((path for path in files if path.is_symlink() or not path.is_file()), None)
    if others or odd is not None or not all(map(is_digest, content)):
        raise _changed(f"{folder} has other files than a package of a model")
    return [VERSION, *(f"{CONTENT}/{name}" for name in content)]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _measured(path: Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
