"""The function `fw.model`, which gives a registered model wherever the calling code runs.

In a run or behind an endpoint, the session of the process answers. A plain script or test reads the project's store itself.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.author import origins, reporting, session
from fairway.plan.provenance import made_here
from fairway.server.sessions import ModelSession
from fairway.spec.endpoint import Offer
from fairway.spec.errors import NotFound
from fairway.wiring.headstart import store_place
from fairway.wiring.machine import LocalStores

if TYPE_CHECKING:
    from fairway.stores.metadata import SqliteMetadata

_opened: dict[str, ModelSession] = {}


def model(reference: str) -> object:
    """Return a registered model: "churn" (newest), "churn:3" or "churn@champion".

    In a pipeline, a task or an endpoint, the reference is resolved once per run or revision. Anywhere else, such as in a
    test, it is resolved in the store of the calling file's project when the model is first used. The model itself is
    loaded when it is first used. Passing it to a task makes an edge.

    Raises:
        NotFound: there is no such model, version or alias.
    """
    return reporting.model(reference, partial(_store, origins.caller()))


def _store(file: str) -> ModelSession:
    """Open the store of the project that the file belongs to, once. Raises NotFound if there is none."""
    place = session.store() or store_place(file)
    found = _opened.get(place)
    if found is None:
        root = Path(place)
        if not (root / "store.json").is_file():
            raise NotFound(
                f"no model is registered here: there is no store at {place}",
                hint="`fairway run FILE` registers one; FAIRWAY_HOME names a store elsewhere",
            )
        stores = LocalStores(root)
        found = _opened[place] = ModelSession(partial(_find, stores.metadata), stores.artifacts.open)
    return found


def _find(metadata: "SqliteMetadata", reference: str) -> Offer:
    """Resolve a reference in a store. Content of a store that is not this user's may run no code."""
    version = metadata.resolve(reference)
    run = version.lineage.run
    trusted = bool(run) and not metadata.why_foreign() and made_here(version, metadata.events(run=run))
    return Offer(version=version, trusted=trusted)
