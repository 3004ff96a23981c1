"""The session of code that reads models out of a store and belongs to no run: an endpoint's function, a script, a test."""

from collections.abc import Mapping
from pathlib import Path

from fairway import formats, stores
from fairway.server.provenance import made_by_a_run
from fairway.spec.artifact import RefData
from fairway.spec.errors import FairwayError
from fairway.spec.model import ModelVersion
from fairway.spec.run import MetricPoint, StepSpec
from fairway.stores import FileArtifacts


class StoreSession:
    """Looks models up in a store.

    Args:
        root: directory of the store.
        store: its artifacts.
        aliases: what "name@alias" means here; what is not in it means what the store says now.
    """

    pipeline = False

    def __init__(self, root: Path, store: FileArtifacts, aliases: Mapping[str, int] | None = None) -> None:
        self._aliases = aliases or {}
        self._metadata = stores.SqliteMetadata(stores.Layout(root))
        self._store = store
        self._loaded: dict[tuple[str, str], object] = {}

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        """The version, and a function that loads its model once."""
        pinned = self._aliases.get(reference)
        name = reference.partition("@")[0]
        version = self._metadata.resolve(f"{name}:{pinned}" if pinned else reference)
        return version, lambda: self._load(version)

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        """Metrics of training have no place here."""

    def show(self, title: str, value: object) -> None:
        """Pictures have no place here."""

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Never used: a task called here just runs."""
        raise FairwayError(f"{spec.task} cannot be started inside an endpoint")

    def wait(self, ref: RefData) -> object:
        """Never used: there are no refs here."""
        raise FairwayError(f"{ref.step} is not known inside an endpoint")

    def _load(self, version: ModelVersion) -> object:
        artifact = version.candidate.artifact
        key = (artifact.digest, artifact.code)
        if key not in self._loaded:
            trusted = made_by_a_run(version, self._store.root)
            self._loaded[key] = formats.load_model(artifact, self._store.open, trusted=trusted)
        return self._loaded[key]
