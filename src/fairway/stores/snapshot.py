"""The same state of the log for several queries.

A query sees the state of the database at its own time, so another process may write between two of them.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Let every query in the block see the same state of the database. Inside a transaction, this is its state."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # an error of the disk ends it early
            connection.execute("ROLLBACK")
