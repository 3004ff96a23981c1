"""The program of a worker: `python -m fairway.server SPEC.json` serves on a socket that it inherits, or on its own port.

The metrics library reads the folder of the shared metrics when it is imported. So this module sets that folder before it
imports the worker.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what the imports below make stays, and looking through it finds nothing to free

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.author import redaction, secret_names
from fairway.confined import make_folder
from fairway.server import output
from fairway.spec.errors import FairwayError

if TYPE_CHECKING:
    from fairway.ports import ArtifactStore
    from fairway.server.app import Service
    from fairway.server.metrics import Metrics
    from fairway.spec.endpoint import WorkerSpec

_USAGE = "usage: python -m fairway.server SPEC.json [--fd N] [--sockets FOLDER]"
_OPTIONS = {"--fd", "--sockets"}
_SELDOM = 1_000_000
"""The number of new objects after which they are looked through while the worker loads: nearly all of them stay."""


def run(arguments: list[str]) -> int:
    """Set the folder of the shared metrics and the redaction of output, then run the worker."""
    path, words = arguments[:1], arguments[1:]
    options = dict(zip(words[::2], words[1::2], strict=False))
    if not path or len(words) % 2 or not options.keys() <= _OPTIONS:
        print(_USAGE, file=sys.stderr)
        return 2
    data = Path(path[0]).read_bytes()
    folder = json.loads(data)["metrics"]
    make_folder(folder)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    with contextlib.suppress(FairwayError):  # the deployment reports a project that cannot be read
        redaction.name_more(secret_names.read(Path.cwd()))
    redaction.refresh()
    redaction.report_new(output.redirect())
    redaction.watch_environment()
    fd = int(options["--fd"]) if "--fd" in options else None
    from fairway.server import worker

    return worker.main(data, _service, fd, options.get("--sockets", ""))


def _service(
    spec: "WorkerSpec", store: "ArtifactStore", metrics: "Metrics", under_way: Callable[[], int]
) -> "Service":
    """Load what the worker serves, with a garbage collector that leaves the time to it."""
    usual = gc.get_threshold()
    gc.set_threshold(_SELDOM)
    gc.enable()
    try:
        return _load(spec, store, metrics, under_way)
    finally:
        if gc.get_threshold()[0] == _SELDOM:  # a project may have set its own
            gc.set_threshold(*usual)


def _load(
    spec: "WorkerSpec", store: "ArtifactStore", metrics: "Metrics", under_way: Callable[[], int]
) -> "Service":
    """Load a model or a function. The server of the one does without all that the other needs."""
    if spec.revision.model is not None:
        from fairway.server.models import ModelService

        return ModelService(spec.revision, store, metrics, under_way)
    from fairway.server.functions import FunctionService

    return FunctionService(spec, store, metrics)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
