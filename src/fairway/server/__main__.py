"""The program of a worker: `python -m fairway.server SPEC.json --fd N` serves on a listening socket that it inherits.

The metrics library reads the folder of the shared metrics when it is imported. So this module sets that folder before it
imports the worker.
"""

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

from fairway.author import redaction, secret_names
from fairway.confined import make_folder
from fairway.server import output
from fairway.spec.errors import FairwayError


def run(arguments: list[str]) -> int:
    """Set the folder of the shared metrics and the redaction of output, then run the worker."""
    if len(arguments) not in (3, 5):
        print("usage: python -m fairway.server SPEC.json --fd N --sockets FOLDER", file=sys.stderr)
        return 2
    folder = json.loads(Path(arguments[0]).read_bytes())["metrics"]
    make_folder(folder)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    with contextlib.suppress(FairwayError):  # the deployment reports a project that cannot be read
        redaction.name_more(secret_names.read(Path.cwd()))
    redaction.refresh()
    redaction.report_new(output.redirect())
    redaction.watch_environment()
    return importlib.import_module("fairway.server.worker").main(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
