"""`python -m fairway.server SPEC.json --fd N`: runs one worker on a listening socket that it inherits.

The folder of the shared metrics must be known before the metrics library is imported, so it is set before anything else.
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
    """Say where metrics are shared, then start the worker."""
    if len(arguments) not in (3, 5):
        print("usage: python -m fairway.server SPEC.json --fd N --sockets FOLDER", file=sys.stderr)
        return 2
    folder = json.loads(Path(arguments[0]).read_bytes())["metrics"]
    make_folder(folder)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    with contextlib.suppress(FairwayError):  # a project that cannot be read is told of where it is deployed
        redaction.name_more(secret_names.read(Path.cwd()))
    redaction.refresh()
    redaction.report_new(output.redirect())
    redaction.watch_environment()
    return importlib.import_module("fairway.server.worker").main(arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
