"""Runs on a target for scripts and notebooks: their parameters are sent, and their values fetched when they are asked for.

What comes back may have passed through other people's hands, so reading it runs no code.
"""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.errors import SerializationError
from fairway.wiring import sending, targets
from fairway.wiring.questions import answered

if TYPE_CHECKING:
    from fairway.remote import RemotePlatform
    from fairway.spec.run import RunRequest
    from fairway.stores import FileArtifacts
    from fairway.wiring.targets import Target

T = TypeVar("T")


class There:
    """A target as the place of runs.

    Args:
        target: the target.
    """

    def __init__(self, target: "Target") -> None:
        self._target = target
        self._kept: tempfile.TemporaryDirectory[str] | None = None

    @property
    def name(self) -> str:
        """The name of the target."""
        return self._target.name

    def platform(self) -> "RemotePlatform":
        """Return the platform of the target. Raises FairwayError."""
        return targets.platform(self._target, _print)

    def submit(self, request: "RunRequest", values: dict[str, object]) -> str:
        """Send a project and the parameters of a run, submit the run and return its name. Raises FairwayError."""
        from fairway.runner.values import Values

        with tempfile.TemporaryDirectory(prefix="fairway-") as folder:
            store = _store(folder)
            saved = Values(store)
            request.parameters = {name: saved.save(value) for name, value in values.items()}

            async def submit(platform: "RemotePlatform") -> str:
                await sending.send(platform, request)
                for artifact in (request.parameters or {}).values():
                    await _put(platform, store, artifact)
                return await platform.submit(request)

            return self.ask(submit)

    def load(self, node: Node) -> object:
        """Return the value of a node. Content that is not here yet is fetched. Raises FairwayError."""
        if isinstance(node, RefData):
            raise SerializationError(f"the output of {node.step} is not known here")
        if isinstance(node, Group):
            items = [self.load(item) for item in node.items]
            if node.container == "dict":
                return dict(zip([self.load(key) for key in node.keys], items, strict=True))
            return tuple(items) if node.container == "tuple" else items
        from fairway.runner.values import Values

        store = self._store()
        if node.inline is None:
            self.ask(lambda platform: _fetch(platform, store, node))
        return Values(store).load(node, trusted=False)

    def model(self, reference: str) -> object:
        """Return the model of a registered version. What could run code is refused. Raises FairwayError."""
        from fairway import formats

        version = self.ask(lambda platform: platform.resolve(reference))
        artifact = version.candidate.artifact
        store = self._store()
        if artifact.inline is None:
            self.ask(lambda platform: _fetch(platform, store, artifact))
        return formats.load_model(artifact, store.open, trusted=False)

    def _store(self) -> "FileArtifacts":
        """Return the store of what was fetched, which lasts as long as this object."""
        if self._kept is None:
            self._kept = tempfile.TemporaryDirectory(prefix="fairway-")
        return _store(self._kept.name)

    def ask(self, question: "Callable[[RemotePlatform], Coroutine[Any, Any, T]]") -> T:
        """Ask the platform of the target, from code without an event loop or with one. Raises FairwayError."""
        return answered(self.platform, question)


def _store(folder: str) -> "FileArtifacts":
    from fairway.stores import FileArtifacts

    return FileArtifacts(Path(folder))


async def _put(platform: "RemotePlatform", store: "FileArtifacts", artifact: Artifact) -> None:
    """Send the content of an artifact, as far as the platform lacks it."""
    if artifact.inline is not None:
        return
    digests = [entry.digest for entry in store.files(artifact.digest)] if artifact.files else []
    for digest in await platform.missing([*dict.fromkeys(digests), artifact.digest]):
        blob = Artifact(format="file", digest=digest, size=store.touch(digest) or 0)
        content = await asyncio.to_thread(store.open, blob)
        await platform.put(digest, content if isinstance(content, bytes) else content.read_bytes())


async def _fetch(platform: "RemotePlatform", store: "FileArtifacts", artifact: Artifact) -> None:
    """Bring the content of an artifact here, as far as it is not here yet. Raises CorruptArtifact."""
    await _fetch_blob(platform, store, artifact.digest)
    for entry in store.files(artifact.digest) if artifact.files else ():
        await _fetch_blob(platform, store, entry.digest)


async def _fetch_blob(platform: "RemotePlatform", store: "FileArtifacts", digest: str) -> None:
    if store.exists(digest):
        return
    with tempfile.TemporaryDirectory(prefix="fairway-") as folder:
        path = Path(folder) / "content"
        await platform.bring(digest, path)
        await asyncio.to_thread(store.put_file, path)


def _print(*lines: str) -> None:
    import sys

    for line in lines:
        print(line, file=sys.stderr)
