"""The head start of a command: it finds the store and starts the host of the project before anything else is loaded.

The host imports the project meanwhile, so whatever this file imports delays both (decision 0012).
"""

import os

from fairway.local.launching import Launched, launch
from fairway.local.projects import absolute, find, may_name_target, store_from, store_of
from fairway.spec.errors import FairwayError
from fairway.spec.host import HostSetup, ProjectCode, StorePlace

_ahead: dict[str, Launched] = {}


def store_place(file: str = "", module: str = "") -> str:
    """Return the folder of the store: FAIRWAY_HOME, else the project's own.

    Args:
        file: the project file. Without one, the project is looked for from the working directory upwards.
        module: the name under which the file was imported, if known.
    """
    home = os.environ.get("FAIRWAY_HOME")
    if home:
        return absolute(home)
    return store_of(file, module) if file else store_from(os.getcwd())


def head_start(word: str) -> None:
    """Start the host of a project that is about to be asked for. `launch_host` then returns it.

    A project that may run elsewhere is not imported here.
    """
    try:
        file, module = find(word)
        if os.environ.get("FAIRWAY_TARGET", "local") != "local" or may_name_target(os.path.dirname(file)):
            return
        store = StorePlace(store_place(file, module))
        _ahead[file] = launch_host(HostSetup(store, ProjectCode(file, module)))
    except (OSError, FairwayError):
        return  # the error is reported when the project is asked for


def start_ahead(setup: HostSetup) -> None:
    """Start the host of a known project. `launch_host` then returns it. Raises FairwayError."""
    _ahead[setup.code.file] = launch_host(setup)


def launch_host(setup: HostSetup) -> Launched:
    """Start the host of a project, or return the one started ahead. It imports the project while the caller goes on."""
    return _ahead.pop(setup.code.file, None) or launch(setup)
