"""The kinds of values in the tables of a database that somebody else made.

SQLite lets any column of a table hold any kind of value if the table was made that way. Everything that reads rows relies on
the kinds that this version's tables demand, so they are checked before a foreign log is looked at.
"""

import sqlite3
from contextlib import closing

from fairway.spec.errors import StorageError
from fairway.stores import schema
from fairway.stores.layout import Layout

_HELD = {
    "TEXT": "'text'",
    "INTEGER": "'integer'",
    "REAL": "'real', 'integer'",
    "BLOB": "'blob'",
    "": "'text', 'integer', 'real'",
}
"""The kinds of values in a column, by its type. A column without a type holds the value of a fact, which is any scalar."""


def check(connection: sqlite3.Connection, layout: Layout) -> None:
    """Refuse a database in which a value is of another kind than Fairway writes. Raises StorageError."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(schema.LOG)
        model.executescript(schema.DERIVED)
        for table in ("event", *schema.TABLES):
            demanded = model.execute(f"PRAGMA table_info({table})").fetchall()
            columns = " OR ".join(
                _odd(name, kind, bool(needed or key)) for _, name, kind, needed, _, key in demanded
            )
            if connection.execute(f"SELECT 1 FROM {table} WHERE {columns} LIMIT 1").fetchone() is not None:
                raise StorageError(
                    f"the database {layout.database} holds what no Fairway writes, in the table {table!r}",
                    hint="look for a backup of it, and `fairway restore` that elsewhere",
                )


def _odd(name: str, kind: str, needed: bool) -> str:
    held = _HELD[kind] if needed else f"{_HELD[kind]}, 'null'"
    return f"typeof({name}) NOT IN ({held})"


def are_consistent(connection: sqlite3.Connection | None) -> bool:
    """Tell whether the tables and indexes of a database agree, as those of no database do."""
    try:
        return connection is None or connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False
