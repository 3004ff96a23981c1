"""The opening of the store at a place. Hosts, steps and model servers open a store only with this module.

Today, a place is a folder of this machine. This module does not open the metadata, because a process that runs or serves the
user's code must not use them.
"""

from pathlib import Path

from fairway.spec.errors import StorageError
from fairway.spec.host import StorePlace
from fairway.stores.blobs import FileArtifacts
from fairway.stores.layout import Layout
from fairway.stores.results import FileResults


class OpenStore:
    """The parts of a store for a process that runs or serves the user's code."""

    __slots__ = ("artifacts", "place", "results")

    def __init__(self, place: StorePlace, artifacts: FileArtifacts, results: FileResults) -> None:
        self.place = place
        self.artifacts = artifacts
        self.results = results

    def before_fork(self, run: str) -> None:
        """Read and open what every process needs that is forked from this one for a run."""
        self.results.prepare(run)


def open_store(place: StorePlace) -> OpenStore:
    """Return the store at a place. Nothing in it is read or made yet.

    Raises:
        StorageError: the place is not a folder of this machine.
    """
    if not place.address.startswith("/"):
        raise StorageError(
            f"{place.address!r} is no place of a store that this version can open",
            hint="set `FAIRWAY_HOME` to the path of a folder, from the root",
        )
    root = Layout(Path(place.address)).root
    return OpenStore(place, FileArtifacts(root), FileResults(root))
