"""The stores: artifacts and records as files, events in SQLite.

`SqliteMetadata` is imported when it is first used. The processes of steps never touch the database, so they do not pay for
the import.
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
