"""The search for a text in the runs of the past, with as little work for each of a million runs as possible.

Knows which columns hold texts, and nothing about the order of a list.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

_MARKS = {"\\": "\\\\", "%": "\\%", "_": "\\_"}
"""The letters with a meaning in patterns, each with what stands for the letter itself."""


def conditions(db: sqlite3.Connection, text: str, pipelines: Sequence[str]) -> list[tuple[str, object]]:
    """Return the conditions of which one holds for a run with a text on it, each with its value.

    Args:
        db: a read connection.
        text: what is searched for, in any case.
        pipelines: the names of all pipelines. They are looked through once, not again for each run.
    """
    like = f"%{''.join(_MARKS.get(letter, letter) for letter in text)}%"
    found: list[tuple[str, object]] = [("run.name LIKE ? ESCAPE '\\'", like)]
    # Most runs have neither a cause nor a note, and an empty text is seen faster than it is searched.
    found += [(f"(run.{one} != '' AND run.{one} LIKE ? ESCAPE '\\')", like) for one in ("message", "note")]
    # SQLite chooses the names, so that letters of both cases are equal in them as in the other columns.
    sql = "SELECT json_group_array(value) FROM json_each(?) WHERE value LIKE ? ESCAPE '\\'"
    fit = str(db.execute(sql, (msgspec.json.encode(pipelines).decode(), like)).fetchone()[0])
    if fit != "[]":
        found.append(("run.pipeline IN (SELECT value FROM json_each(?))", fit))
    if db.execute("SELECT 1 FROM tag WHERE tag = ?", (text,)).fetchone() is not None:
        found.append(("run.name IN (SELECT run FROM tag WHERE tag.tag = ?)", text))
    return found
