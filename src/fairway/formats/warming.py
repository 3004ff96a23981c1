"""Imports ahead of time what storing the values of loaded frameworks needs, so that steps find it in place.

A host calls this once, before its first step: what it imports then, no forked step has to import again.
Nothing is imported for a framework that the project itself did not import.
"""

import sys
from contextlib import suppress

from fairway.formats import codecs
from fairway.formats.frameworks import load

_NEEDED = {
    "pandas": ("pyarrow", "pyarrow.ipc"),
    "polars": ("pyarrow", "pyarrow.ipc"),
    "sklearn": ("skops.io",),
}
"""Per framework, the modules its codec loads; a missing one is reported when a value is met, not here."""


def warm() -> None:
    """Import the codecs of every framework in this process, and their needs."""
    codecs.warm()
    for framework, modules in _NEEDED.items():
        if framework in sys.modules:
            for module in modules:
                with suppress(ImportError):
                    load(module)
