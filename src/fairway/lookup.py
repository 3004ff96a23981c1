"""The functions `fw.model` and `fw.load`, which give a registered model, and `fw.runs`, which gives the runs of the past.

In a run or behind an endpoint, the session of the process answers. A plain script or test reads the project's store itself.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fairway.author import origins, reporting, session
from fairway.author.ref import value
from fairway.plan.provenance import made_here
from fairway.server.sessions import ModelSession
from fairway.spec.endpoint import Offer
from fairway.spec.errors import NotFound
from fairway.wiring import reach
from fairway.wiring.headstart import store_place
from fairway.wiring.machine import LocalStores

if TYPE_CHECKING:
    from datetime import datetime

    from fairway.engine.past import Runs
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


def load(reference: str, /, *, project: str | Path = "", target: str = "") -> object:
    """Load a registered model: "churn" (newest), "churn:3" or "churn@champion".

    It works in a notebook, a script or a test, and for models of another project or of a target. The model is the object that
    was registered. One that is kept as a pickle is loaded only if a run of this user's own store made it, because reading it
    runs code.

    Args:
        reference: the model.
        project: the folder or file of another project, or the folder of its store. The default is that of the calling file.
        target: the name of a target, as `fairway targets` lists them. The default is this machine.

    Raises:
        NotFound: there is no such model, version, alias, project or target.
        SerializationError: it cannot be loaded without running code of unknown origin. Its ONNX form may still be had with
            `fairway models download`.
    """
    if target in ("", "local") and not project:
        return value(reporting.model(reference, partial(_store, origins.caller())))
    where = reach.place(origins.caller(), project, target)
    if isinstance(where, reach.Here):
        found = _session(str(where.root)).model(reference)[1]
        return cast("Callable[[], object]", found)()
    return where.model(reference)


def runs(
    *,
    pipeline: str = "",
    since: "str | float | datetime" = 0.0,
    where: str = "",
    tag: str = "",
    phase: str = "",
    limit: int = 0,
    project: str | Path = "",
    target: str = "",
) -> "Runs":
    """Return runs of the past, newest first, as a list of light objects. `.frame()` makes one table of them.

    Args:
        pipeline: only runs of this pipeline.
        since: only runs that started since then: "7d" or "2h" for so long ago, a date, a datetime, or seconds since the epoch.
        where: only runs for which this condition on metrics and parameters holds, such as "accuracy > 0.9 and depth < 8".
        tag: only runs with this word on them, which `fairway tag` puts there.
        phase: only runs in this phase, such as "Succeeded".
        limit: at most so many; 0 for all.
        project: the folder or file of another project, or the folder of its store. The default is that of the calling file.
        target: the name of a target, as `fairway targets` lists them. The default is this machine.

    Raises:
        UsageError: the condition or the time cannot be read, or no run knows a name in the condition.
        NotFound: there is no such project or target.
    """
    place = reach.place(origins.caller(), project, target)
    return reach.list_runs(
        place, reach.Asked(pipeline=pipeline, since=since, where=where, tag=tag, phase=phase, limit=limit)
    )


def _store(file: str) -> ModelSession:
    """Open the store of the project that the file belongs to, once. Raises NotFound if there is none."""
    return _session(session.store() or store_place(file))


def _session(place: str) -> ModelSession:
    """Return the session of a store, which is opened once. Raises NotFound if there is none."""
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
