"""Where things are kept: artifacts and records as files, facts in SQLite.

`SqliteMetadata` is loaded when it is first asked for, so that the processes of steps, which never touch the
database, do not pay for it.
"""

import importlib
from typing import TYPE_CHECKING

from fairway.stores.blobs import FileArtifacts
from fairway.stores.layout import Layout
from fairway.stores.logs import FileLogs
from fairway.stores.results import FileResults

if TYPE_CHECKING:
    from fairway.stores.metadata import SqliteMetadata

__all__ = ["FileArtifacts", "FileLogs", "FileResults", "Layout", "SqliteMetadata"]


def __getattr__(name: str) -> object:
    if name == "SqliteMetadata":
        return importlib.import_module("fairway.stores.metadata").SqliteMetadata
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
