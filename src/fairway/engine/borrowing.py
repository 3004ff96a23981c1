"""The recorded inputs of a step of another platform, brought to a store of this machine so that the step can run here.

That platform works for several people, and each of them can have made a value there. So nothing is brought whose reading runs
code, and the rest is read without trust. Must not know how the step is run.
"""

from pathlib import Path
from typing import Protocol

from fairway.engine import repeating
from fairway.formats import CODE_FORMATS
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, walk
from fairway.spec.errors import CorruptArtifact, NotAllowed
from fairway.spec.run import RunStatus
from fairway.stores import folders


class Contents(Protocol):
    """A store of content by digest."""

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file. Return its digest and its size."""
        ...


async def bring(platform: Platform, status: RunStatus, step: str, contents: Contents, folder: Path) -> int:
    """Store the content of all inputs of a step, and return the number of their bytes.

    Args:
        folder: an empty folder for files on their way.

    Raises:
        NotAllowed: reading an input can run code.
        NotFound: there is no such step, or its input is not kept any more.
        UsageError: the step never got its inputs.
    """
    _, repeated = repeating.found(lambda _: status, f"{status.spec.name}/{step}", lambda _: True)
    leaves = [
        (name, leaf)
        for name, node in repeated.step.inputs.items()
        for leaf in walk(node)
        if isinstance(leaf, Artifact)
    ]
    for name, leaf in leaves:
        _refuse_code(f"{status.spec.name}/{step}", name, leaf)
    outside = {leaf.digest: leaf for _, leaf in leaves if leaf.inline is None}
    for leaf in outside.values():
        await _brought(platform, leaf, contents, folder)
    return sum(leaf.size for leaf in outside.values())


def _refuse_code(step: str, name: str, artifact: Artifact) -> None:
    """Refuse an input whose reading can run code. Raises NotAllowed."""
    if artifact.format in CODE_FORMATS or artifact.code:
        raise NotAllowed(
            f"the input {name} of {step} is kept as {artifact.format}, which can run code when it is read here",
            hint="return plain data, an array, a data frame or a file from the task that makes it, or run the pipeline here",
        )


async def _brought(platform: Platform, artifact: Artifact, contents: Contents, folder: Path) -> None:
    """Store a file, or the list of a folder with all files that it names."""
    await _stored(platform, artifact.digest, contents, folder)
    if not artifact.files:
        return
    listed = folder / artifact.digest
    await platform.bring(artifact.digest, listed)
    entries = folders.decode(listed.read_bytes(), artifact.digest).files
    listed.unlink()
    for digest in dict.fromkeys(entry.digest for entry in entries):
        await _stored(platform, digest, contents, folder)


async def _stored(platform: Platform, digest: str, contents: Contents, folder: Path) -> None:
    target = folder / digest
    await platform.bring(digest, target)
    if contents.put_file(target)[0] != digest:
        raise CorruptArtifact(
            f"the content {digest[:12]} that {platform.place} sent does not match its digest"
        )
    target.unlink()
