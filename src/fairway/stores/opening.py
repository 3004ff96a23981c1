"""The opening of the store at a place. Hosts, steps and model servers open a store only with this module.

A place is a folder of this machine, or the store of a control plane with a cache on this machine. This module does not open the
metadata, because a process that runs or serves the user's code must not use them.
"""

from pathlib import Path

from fairway.spec.errors import StorageError
from fairway.spec.host import StorePlace
from fairway.stores.blobs import FileArtifacts
from fairway.stores.layout import Layout
from fairway.stores.relayed import RelayedArtifacts, RelayedResults
from fairway.stores.results import FileResults
from fairway.stores.upstream import Upstream

_RELAY = "relay:"
_TOKEN = "X-Fairway-Token"
"""Name of the header with the token of a pod."""


class OpenStore:
    """The parts of a store for a process that runs or serves the user's code."""

    __slots__ = ("artifacts", "place", "results")

    def __init__(
        self,
        place: StorePlace,
        artifacts: FileArtifacts | RelayedArtifacts,
        results: FileResults | RelayedResults,
    ) -> None:
        self.place = place
        self.artifacts = artifacts
        self.results = results

    def before_fork(self, run: str) -> None:
        """Read and open what every process needs that is forked from this one for a run."""
        self.results.prepare(run)


def open_store(place: StorePlace) -> OpenStore:
    """Return the store at a place. Nothing in it is read or made yet.

    Raises:
        StorageError: the place is neither a folder of this machine nor the store of a control plane.
    """
    if place.address.startswith(_RELAY):
        return _open_relayed(place)
    if not place.address.startswith("/"):
        raise StorageError(
            f"{place.address!r} is no place of a store that this version can open",
            hint="set `FAIRWAY_HOME` to the path of a folder, from the root",
        )
    root = Layout(Path(place.address)).root
    return OpenStore(place, FileArtifacts(root), FileResults(root))


def relayed_place(url: str, cache: str, credential: str) -> StorePlace:
    """Return the place of the store of a control plane.

    Args:
        url: such as "http://fairway.team.svc:7700".
        cache: the absolute path of the folder for content that was used.
        credential: the absolute path of the file with the credential of the run.
    """
    return StorePlace(f"{_RELAY}{url}|{cache}|{credential}")


def open_content(url: str, token: str) -> Upstream:
    """Return the content of a control plane for a pod that has no credential of a run yet.

    Args:
        url: such as "http://fairway.team.svc:7700".
        token: the absolute path of the file with the token of the pod.
    """
    return Upstream(url, token, header=_TOKEN)


def _open_relayed(place: StorePlace) -> OpenStore:
    url, cache, credential = parts(place, _RELAY, "URL|CACHE|CREDENTIAL")
    upstream = Upstream(url, credential)
    root = Layout(Path(cache)).root
    return OpenStore(place, RelayedArtifacts(root, upstream), RelayedResults(upstream))


def parts(place: StorePlace, prefix: str, form: str) -> list[str]:
    """Return the parts of the place of a store that has others than a path. Raises StorageError.

    Args:
        prefix: the beginning of the address, which is no part.
        form: the names of the parts, with a bar between them. The first one is a URL, the others are absolute paths.
    """
    found = place.address.removeprefix(prefix).split("|")
    if len(found) != form.count("|") + 1 or not all(path.startswith("/") for path in found[1:]):
        raise StorageError(
            f"{place.address[:200]!r} is no place of a store that this version can open",
            hint=f"such a store is named `{prefix}{form}`, with absolute paths",
        )
    return found
