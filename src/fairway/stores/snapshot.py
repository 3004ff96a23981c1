"""One state of the log for several questions.

Each question to the database sees what is durable when it is asked, so another process may write between two of them.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """Let every question in the block see the same state of the database; inside a transaction, that of the transaction."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # an error of the disk ends it early
            connection.execute("ROLLBACK")
