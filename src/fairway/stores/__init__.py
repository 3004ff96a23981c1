"""Keeps artifacts and records as files, and facts in SQLite.

`SqliteMetadata` is in `metadata`, which loads SQLite. The processes of steps never touch the database, so this package
does not import it.
"""

from fairway.stores.blobs import FileArtifacts
from fairway.stores.layout import Layout
from fairway.stores.logs import FileLogs
from fairway.stores.results import FileResults

__all__ = ["FileArtifacts", "FileLogs", "FileResults", "Layout"]
