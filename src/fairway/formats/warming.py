"""Early imports of the modules that store the values of loaded frameworks, so that steps find them loaded.

A host calls this once before its first step. A forked step need not import again what was imported then. Nothing is
imported for a framework that the project itself did not import.
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
"""The modules that a framework's codec loads. A missing one is reported when a value occurs, and not here."""


def warm() -> None:
    """Import the codecs of every loaded framework, and the modules that they need."""
    codecs.warm()
    for framework, modules in _NEEDED.items():
        if framework in sys.modules:
            for module in modules:
                with suppress(ImportError):
                    load(module)
