"""A target named `team` for the tests of this folder, with a platform process of this machine behind it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projects import Project
from standin import ApiServer


@contextmanager
def backed(folder: Path, store: Path | None = None) -> Iterator[ApiServer]:
    """Give a cluster whose control plane hands everything to a platform process, with a copy of a store if one is given."""
    with ApiServer(folder) as server:
        own = folder / "store"
        if store is not None:
            shutil.copytree(store, own, symlinks=True)
        backend = Project(folder)
        backend.environment["FAIRWAY_HOME"] = str(own)
        server.plane.url = json.loads(backend.fairway("up", "--json").stdout)["url"]
        server.plane.store = own
        server.plane.bearer = (own / "platform" / "token").read_text()
        try:
            yield server
        finally:
            backend.fairway("down", expect=None)


def on_team(folder: Path, cluster: ApiServer) -> Project:
    """Return a project in a new folder that knows a cluster as `team`. Settings and caches lie beside the folder."""
    folder.mkdir()
    made = Project(folder)
    made.environment |= {
        "KUBECONFIG": str(cluster.kubeconfig),
        "XDG_CONFIG_HOME": str(folder.parent / "config"),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
    made.fairway("target", "add", "team")
    return made
