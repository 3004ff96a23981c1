"""What a command does before it loads anything else: it finds the store, and starts the host of the project.

The project is imported meanwhile, so whatever this file imports delays both (decision 0012).
"""

import os

from fairway.local.launching import HostSetup, Launched, launch
from fairway.spec.errors import FairwayError

STORE = ".fairway"
_ahead: dict[str, Launched] = {}


def absolute(path: str) -> str:
    """A path from the root as `pathlib` makes it: `..` and links stay, they may lead elsewhere."""
    parts = os.path.join(os.getcwd(), path).split("/")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def store_place() -> str:
    """Where the store is: FAIRWAY_HOME, else the nearest `.fairway` from here upwards, else `.fairway` here."""
    home = os.environ.get("FAIRWAY_HOME")
    if home:
        return absolute(home)
    here = folder = os.getcwd()
    while True:
        if os.path.exists(os.path.join(folder, STORE, "store.json")):
            return os.path.join(folder, STORE)
        above = os.path.dirname(folder)
        if above == folder or os.path.exists(os.path.join(folder, ".git")):
            return os.path.join(here, STORE)
        folder = above


def head_start(file: str) -> None:
    """Start the host of a project that is about to be asked for; `launch_host` hands it out then."""
    path = absolute(file)
    try:
        _ahead[path] = launch_host(path, store_place())
    except (OSError, FairwayError):
        return  # said when the project is asked for


def launch_host(file: str, root: str, pickled: str = "") -> Launched:
    """Start the host of a project; it imports the project while the caller goes on."""
    return _ahead.pop(file, None) or launch(HostSetup(root, file, pickled))
