"""The upkeep of a store while it is in use: content that nothing refers to is removed, and a copy is handed out.

What a run at work has stored may not be on record yet, so content that is younger than the oldest such run stays.
"""

from typing import Protocol

from fairway.ports import ArtifactStore, Clock, Leases, MetadataStore
from fairway.spec.event import Event, StoreCleaned
from fairway.spec.upkeep import Cleaned, Cleaning, Health, Snapshot, Tried

_MOST_RUNS = 1000
_MARGIN = 60.0


class Copies(Protocol):
    """The files of a store and the machine under it."""

    def health(self) -> Health:
        """Return the health of the store's machine."""
        ...

    def take(self) -> Snapshot:
        """Keep the log as it is now, and list it with all that it refers to."""
        ...

    def read(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot; nothing at its end."""
        ...

    def tries(self) -> list[Tried]:
        """Try the object storage of the store, and return what was found; nothing without any."""
        ...


class Upkeep:
    """The upkeep of one store.

    Args:
        metadata, artifacts: the store.
        leases: tell which runs are at work.
        copies: read the store for a copy.
        clock: the time.
        youngest: the seconds for which content stays in any case, because somebody may have been told that it is there.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        artifacts: ArtifactStore,
        leases: Leases,
        copies: Copies,
        clock: Clock,
        youngest: float = 0.0,
    ) -> None:
        self._metadata = metadata
        self._artifacts = artifacts
        self._leases = leases
        self._copies = copies
        self._clock = clock
        self._youngest = youngest

    def clean(self, request: Cleaning) -> Cleaned:
        """Remove content that nothing refers to, or count it. Raises StorageError."""
        age = max(request.hours * 3600.0, self._youngest, self._age_of_work())
        swept = self._artifacts.sweep(self._metadata.digests(), older_than=age, dry=not request.delete)
        if request.delete and swept.blobs:
            body = StoreCleaned(blobs=swept.blobs, size=swept.size)
            self._metadata.append([Event(body=body, time=self._clock.now())])
        return Cleaned(blobs=swept.blobs, size=swept.size, deleted=request.delete)

    def health(self) -> Health:
        """Return the health of the store's machine."""
        return self._copies.health()

    def snapshot(self) -> Snapshot:
        """Keep the log as it is now, and list it with all that it refers to. Raises StorageError."""
        return self._copies.take()

    def piece(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot; nothing at its end. Raises NotFound, StorageError."""
        return self._copies.read(name, path, offset)

    def tries(self) -> list[Tried]:
        """Try the object storage of the store, and return what was found; nothing without any."""
        return self._copies.tries()

    def _age_of_work(self) -> float:
        """Return the seconds since the start of the oldest run at work. Content that it has stored since then must stay."""
        at_work = [
            run.started
            for run in self._metadata.runs(_MOST_RUNS)
            if not run.phase.ended and self._leases.holder(run.name)
        ]
        return self._clock.now() - min(at_work) + _MARGIN if at_work else 0.0
