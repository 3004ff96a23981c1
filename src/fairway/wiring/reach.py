"""The stores and targets that a script reads from: this project's store, another project's, or a target."""

import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fairway.spec.artifact import Artifact, Group, Node
from fairway.spec.errors import NotFound
from fairway.wiring import settings, target
from fairway.wiring.machine import LocalStores
from fairway.wiring.questions import answered

if TYPE_CHECKING:
    from fairway.engine.past import Runs
    from fairway.engine.report import Run
    from fairway.ports.platform import Platform
    from fairway.wiring.there import There

T = TypeVar("T")


class Here:
    """A store on this machine as the place of runs. Content of a store that is not this user's runs no code.

    Args:
        root: the folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._stores: LocalStores | None = None
        self._trusted = False

    def ask(self, question: "Callable[[Platform], Coroutine[Any, Any, T]]") -> T:
        """Ask the platform of the store, from code without an event loop or with one. Raises FairwayError."""
        return answered(partial(target.looking, self.root, lambda *lines: None), question)

    def load(self, node: Node) -> object:
        """Return the value of a node. Raises FairwayError."""
        from fairway.runner.values import Values

        stores = self._opened()
        if isinstance(node, Group):
            items = [self.load(item) for item in node.items]
            if node.container == "dict":
                return dict(zip([self.load(key) for key in node.keys], items, strict=True))
            return tuple(items) if node.container == "tuple" else items
        if isinstance(node, Artifact):
            return Values(stores.artifacts).load(node, trusted=self._trusted)
        return Values(stores.artifacts).from_node(node)

    def look(self, artifact: Artifact) -> object:
        """Return the value of an artifact without running anything. Raises FairwayError."""
        return self._opened().look(artifact)

    def _opened(self) -> LocalStores:
        if self._stores is None:
            stores = target.only_look_if_foreign(LocalStores(self.root), lambda *lines: None)
            self._trusted = not stores.metadata.why_foreign()
            self._stores = stores
        return self._stores


def place(caller: str, project: "str | Path" = "", name: str = "") -> "Here | There":
    """Return the place from which a script reads: a target, the store of another project, or that of the calling file.

    Args:
        caller: the file of the calling code; empty for a notebook.
        project: the folder or file of another project, or the folder of a store.
        name: the name of a target; empty or "local" for this machine.

    Raises:
        NotFound: there is no such target, or no store of such a project.
    """
    if name not in ("", "local"):
        from fairway.wiring import targets
        from fairway.wiring.there import There

        found = targets.chosen(name)
        assert found is not None
        return There(found)
    return Here(_root_of(Path(project)) if project else settings.store_root(caller))


def read_run(where: "Here | There", name: str) -> "Run":
    """Read a whole run. Raises NotFound."""
    from fairway.engine.report import Run

    status = where.ask(lambda platform: platform.run(name))
    look = where.look if isinstance(where, Here) else where.load
    return Run(status, where.load, look, where.ask)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that a script asks for, in the words of `fw.runs`."""

    pipeline: str
    since: Any
    where: str
    tag: str
    phase: str
    limit: int


def list_runs(where: "Here | There", asked: Asked) -> "Runs":
    """List runs of the past, newest first. Raises FairwayError."""
    from fairway.engine.past import Runs
    from fairway.spec.history import RunQuery, parse_phase
    from fairway.spec.times import parse_moment

    if isinstance(asked.since, str):
        since = parse_moment(asked.since, time.time()) if asked.since else 0.0
    elif isinstance(asked.since, datetime):
        since = asked.since.timestamp()
    else:
        since = float(asked.since)
    query = RunQuery(
        pipeline=asked.pipeline,
        since=since,
        where=asked.where,
        tag=asked.tag,
        phase=parse_phase(asked.phase),
        limit=asked.limit,
    )
    return Runs(where.ask(lambda platform: platform.past(query)), partial(read_run, where))


def _root_of(project: Path) -> Path:
    """Return the folder of the store of a project that is named by its file, its folder or the folder of its store."""
    from fairway.stores import ownership

    folder = project.expanduser().absolute()
    candidates = [folder, folder / settings.STORE_NAME]
    if folder.suffix == ".py":
        from fairway.local.projects import store_of

        candidates = [Path(store_of(str(folder), ""))]
    for root in candidates:
        if (root / "store.json").is_file():
            ownership.refuse_others(str(root), named=True)
            return root
    raise NotFound(
        f"there is no store of a project at {project}", hint="name the folder with the project's `.fairway`"
    )
