"""The runs of the past that a query asks for, found by indexes alone, so that a million of them are no obstacle.

A statement finds the places of the runs on the page first, and reads only their rows then. Knows nothing about writing.
"""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.history import ALL, START, Comparison, Position, RunQuery, RunRecord
from fairway.stores import facts, run_rows, searching

_RARE = 20_000
"""The runs up to which a list is made from all runs with a word on them, or with a value in some range."""

_WINDOW = 20_000
"""The values at the top of an order that are looked at first, because the runs of a page are mostly among them."""

_TOOK = "CASE WHEN run.ended > 0 THEN max(0, run.ended - run.started) END"
_OWN = {
    "name": "run.name",
    "run": "run.name",
    "pipeline": "run.pipeline",
    "phase": "lower(run.phase)",
    "note": "run.note",
    "took": _TOOK,
}
"""The facts that every run has, by their names in conditions."""

EVERY = frozenset({*_OWN, "steps", "failed"})
"""The names of the facts that every run has. A condition may be about a metric of such a name in one run and not in another."""

_MARKS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "="}
"""The marks of comparisons, each with the operator that becomes a part of a query. No other text does."""

_SORTED = {"started": ("started", "1"), "took": ("max(0, ended - started)", "ended > 0")}
"""The facts that every run has, by their names in orders: the expression of each, and the condition for runs that have it.

They have the words of the indexes, because SQLite compares them.
"""


class _Search:
    """The parts of one statement: the tables and the conditions with their values, and the order."""

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.conditions: list[str] = []
        self.seq = "run.seq"
        self.sorted_by = ""
        self._first: list[object] = []
        self._then: list[object] = []

    def table(self, text: str, *values: object) -> None:
        """Add a table."""
        self.tables.append(text)
        self._first += values

    def add(self, condition: str, *values: object) -> None:
        """Add a condition."""
        self.conditions.append(condition)
        self._then += values

    def rows(self, db: sqlite3.Connection, most: int, *, descending: bool) -> list[tuple[int, object]]:
        """Return the place of each run in the log, and the value by which the list is sorted."""
        where = " AND ".join(self.conditions) or "1"
        order = f"{self.seq} DESC"
        if self.sorted_by:
            way = "DESC" if descending else "ASC"
            order = f"{self.sorted_by} {way}, {self.seq} {way}"
        # A cross join keeps the tables in this order, whatever the planner of SQLite guesses.
        source = f"FROM {' CROSS JOIN '.join(self.tables)} WHERE {where} ORDER BY {order} LIMIT ?"
        sql = f"SELECT {self.seq}, {self.sorted_by or 'NULL'} {source}"
        return db.execute(sql, (*self._first, *self._then, most)).fetchall()


class _Asked(msgspec.Struct, kw_only=True):
    """A query that is understood.

    Attributes:
        by_kind: the bounds on metrics and parameters, with the kind of each.
        own: the bounds on what every run has.
        order: the name by which the list is sorted; empty for the newest first.
        kind: the kind of the metric or parameter by which it is sorted; None for what every run has.
        start: the place behind which the list begins.
        texts: the conditions of which one must hold, each with its value. There are none without a text to search for.
        descending: True when the greatest comes first.
    """

    query: RunQuery
    by_kind: list[tuple[Comparison, int]]
    own: list[Comparison]
    order: str
    kind: int | None
    start: Position
    descending: bool
    texts: list[tuple[str, object]]

    @property
    def is_narrowed(self) -> bool:
        """True when not every run is on the list."""
        query = self.query
        own = query.pipeline or query.phase or query.since or query.until or query.tag or query.text
        return bool(own or self.by_kind or self.own)


def past(
    db: sqlite3.Connection, query: RunQuery, bounds: Sequence[Comparison], after: Position, most: int
) -> tuple[list[RunRecord], Position]:
    """Return runs that a query asks for, without regard to its condition but for what the bounds say.

    Args:
        db: a read connection.
        query: what is asked for.
        bounds: what holds for every run that fulfils the condition.
        after: the place behind which to look.
        most: at most so many runs; `ALL` for all.

    Returns:
        the runs, and the place of the last one; `START` if there are no more.

    Raises:
        UsageError: no run has what the list is sorted by.
    """
    asked = _understood(db, query, bounds, after)
    if most >= ALL and not (asked.is_narrowed or asked.order or asked.start[1]):
        return run_rows.every(db), START
    rows = _rows(db, asked, most)
    found = run_rows.at(db, [seq for seq, _ in rows])
    last = (rows[-1][1], int(rows[-1][0])) if len(rows) == most else START
    return found, last


def names(db: sqlite3.Connection) -> list[str]:
    """Return the names of all metrics and parameters."""
    found: list[str] = []
    for kind in (facts.METRIC, facts.PARAMETER):
        name = ""
        # Each name is found by a search in the index, since there may be a million values of one name.
        while True:
            sql = "SELECT name FROM fact WHERE kind = ? AND name > ? ORDER BY name LIMIT 1"
            row = db.execute(sql, (kind, name)).fetchone()
            if row is None:
                break
            name = str(row[0])
            found.append(name)
    return list(dict.fromkeys(found))


def lacking(db: sqlite3.Connection, asked: Iterable[str]) -> list[str]:
    """Return those of some names that no metric and no parameter has."""
    return [name for name in asked if not _is_fact(db, name)]


def pipelines(db: sqlite3.Connection) -> list[str]:
    """Return the names of all pipelines that were run."""
    found: list[str] = []
    while True:
        sql = "SELECT min(pipeline) FROM run WHERE pipeline > ?"
        row = db.execute(sql, (found[-1] if found else "",)).fetchone()
        if row is None or row[0] is None:
            return found
        found.append(str(row[0]))


def _understood(
    db: sqlite3.Connection, query: RunQuery, bounds: Sequence[Comparison], after: Position
) -> _Asked:
    kinds = [(bound, _kind_of(db, bound)) for bound in bounds]
    order, kind = _order(db, query.sort)
    start = after
    if after == START and query.before:
        start = _place_of(db, query.before, order, kind)
    return _Asked(
        query=query,
        by_kind=[(bound, kind) for bound, kind in kinds if kind is not None],
        own=[
            bound
            for bound in bounds
            if not bound.kind and bound.name in _OWN and not _is_fact(db, bound.name)
        ],
        order=order,
        kind=kind,
        start=start,
        descending=query.sort.startswith("-"),
        texts=searching.conditions(db, query.text, pipelines(db)) if query.text else [],
    )


def _rows(db: sqlite3.Connection, asked: _Asked, most: int) -> list[tuple[int, object]]:
    """Return the places of the runs, by the statement that looks at the fewest rows."""
    tag = asked.query.tag
    if tag and _is_rare(db, "SELECT 1 FROM tag WHERE tag = ?", tag):
        search = _Search()
        search.table("tag")
        search.add("tag.tag = ?", tag)
        search.table("run")
        search.add("run.name = tag.run")
        return _completed(search, asked).rows(db, most, descending=asked.descending)
    rare = next((pair for pair in asked.by_kind if _is_rare_bound(db, *pair)), None)
    if rare is not None:
        bound, kind = rare
        search = _Search()
        search.table("fact AS bounding INDEXED BY fact_value")
        search.seq = "bounding.seq"
        search.add("bounding.kind = ? AND bounding.name = ?", kind, bound.name)
        search.add(*_compared("bounding.value", bound))
        return _completed(search, asked, done=bound).rows(db, most, descending=asked.descending)
    if asked.order:
        return _rows_in_order(db, asked, most)
    search, done = _Search(), None
    if asked.by_kind:
        done, kind = asked.by_kind[0]
        search.table("fact AS bounding")
        search.seq = "bounding.seq"
        search.add("bounding.kind = ? AND bounding.name = ?", kind, done.name)
        # The plus keeps SQLite from a search by value, behind which the many that it finds would have to be sorted.
        search.add(*_compared("+bounding.value", done))
    return _completed(search, asked, done=done).rows(db, most, descending=asked.descending)


def _rows_in_order(db: sqlite3.Connection, asked: _Asked, most: int) -> list[tuple[int, object]]:
    """Return the places of runs in the order of a metric or parameter, or of what every run has."""
    if not asked.is_narrowed:
        source, values = _in_order(asked, most)
        return db.execute(source, values).fetchall()
    source, values = _in_order(asked, max(_WINDOW, most))
    search = _Search()
    search.table(f"({source}) AS sorted", *values)
    search.seq, search.sorted_by = "sorted.seq", "sorted.value"
    rows = _completed(search, asked).rows(db, most, descending=asked.descending)
    seen = db.execute(f"SELECT count(*) FROM ({source})", values).fetchone()[0]
    if len(rows) == most or seen < max(_WINDOW, most):
        return rows
    # Few of the top values are of runs that are asked for, so all of those runs are looked at.
    return _completed(_Search(), asked).rows(db, most, descending=asked.descending)


def _in_order(asked: _Asked, most: int) -> tuple[str, list[object]]:
    """Return a statement with its values for the place and value of runs in an order, read from an index in that order."""
    if asked.kind is None:
        by, condition = _SORTED[asked.order]
        source, values = f"SELECT seq, {by} AS value FROM run WHERE {condition}", list[object]()
    else:
        by, source = "value", "SELECT seq, value FROM fact INDEXED BY fact_value WHERE kind = ? AND name = ?"
        source, values = f"{source} AND value IS NOT NULL", [asked.kind, asked.order]
    mark, way = ("<", "DESC") if asked.descending else (">", "ASC")
    in_order = f"ORDER BY {by} {way}, seq {way} LIMIT ?"
    value, seq = asked.start
    if not seq:
        return f"{source} {in_order}", [*values, most]
    # Runs with the value of the last one are searched apart. One condition for both would read them all from the first.
    equal = f"SELECT * FROM ({source} AND {by} = ? AND seq {mark} ? ORDER BY seq {way} LIMIT ?)"
    behind = f"SELECT * FROM ({source} AND {by} {mark} ? {in_order})"
    both = f"SELECT seq, value FROM ({equal} UNION ALL {behind}) ORDER BY value {way}, seq {way} LIMIT ?"
    return both, [*values, value, seq, most, *values, value, most, most]


def _completed(search: _Search, asked: _Asked, done: Comparison | None = None) -> _Search:
    """Add what is missing of a query to a search: tables, conditions, the order and the place to begin at."""
    query = asked.query
    is_own_order = asked.order != "" and asked.kind is None
    own = query.pipeline or query.phase or query.since or query.until or query.tag or query.text
    if "run" not in search.tables and (own or asked.own or is_own_order or not search.tables):
        if search.tables:
            search.add(f"run.seq = {search.seq}")
        # The planner of SQLite might read all runs by a shorter index, and look each of them up in the table.
        search.table("run" if search.tables or query.pipeline else "run INDEXED BY run_seq")
    if asked.kind is not None and not search.sorted_by:
        search.table("fact")
        search.add(f"fact.kind = ? AND fact.name = ? AND fact.seq = {search.seq}", asked.kind, asked.order)
        search.sorted_by = "fact.value"
    if is_own_order and not search.sorted_by:
        by, condition = _SORTED[asked.order]
        search.sorted_by = by
        search.add(condition)
    if search.sorted_by:
        search.add(f"{search.sorted_by} IS NOT NULL")
    for bound, kind in asked.by_kind:
        if bound is done:
            continue
        condition, value = _compared("other.value", bound)
        inner = f"SELECT 1 FROM fact AS other WHERE other.kind = ? AND other.name = ? AND other.seq = {search.seq}"
        search.add(f"EXISTS({inner} AND {condition})", kind, bound.name, value)
    for bound in asked.own:
        # No type is compared row by row: each of these facts has one type in every run.
        is_comparable = isinstance(bound.value, str) == (bound.name != "took")
        search.add(
            f"{_OWN[bound.name]} {_MARKS[bound.mark]} ?" if is_comparable else "? IS NULL", bound.value
        )
    _filter(search, asked)
    _begin(search, asked)
    return search


def _filter(search: _Search, asked: _Asked) -> None:
    query = asked.query
    if query.pipeline:
        search.add("run.pipeline = ?", query.pipeline)
    if query.phase is not None:
        search.add("run.phase = ?", query.phase.value)
    if query.since:
        search.add("run.started >= ?", query.since)
    if query.until:
        search.add("run.started < ?", query.until)
    if query.tag and "tag" not in search.tables:
        search.add("EXISTS(SELECT 1 FROM tag WHERE tag.tag = ? AND tag.run = run.name)", query.tag)
    if asked.texts:
        parts, values = zip(*asked.texts, strict=True)
        search.add(f"({' OR '.join(parts)})", *values)


def _begin(search: _Search, asked: _Asked) -> None:
    """Let a list begin behind a place."""
    value, seq = asked.start
    if not seq:
        return
    if not search.sorted_by:
        search.add(f"{search.seq} < ?", seq)
        return
    mark = "<" if asked.descending else ">"
    by = search.sorted_by
    search.add(f"{by} {mark}= ? AND ({by} {mark} ? OR {search.seq} {mark} ?)", value, value, seq)


def _place_of(db: sqlite3.Connection, run: str, order: str, kind: int | None) -> Position:
    """Return the place of a run in a list. Without such a run, or without the value, that is its end."""
    found = db.execute("SELECT seq FROM run WHERE name = ?", (run,)).fetchone()
    seq = int(found[0]) if found is not None else 1
    if kind is not None:
        sql = "SELECT value FROM fact WHERE kind = ? AND name = ? AND seq = ?"
        found = db.execute(sql, (kind, order, seq)).fetchone()
    elif order:
        by, condition = _SORTED[order]
        found = db.execute(f"SELECT {by} FROM run WHERE seq = ? AND {condition}", (seq,)).fetchone()
    return (found[0] if found is not None else None), seq


def _order(db: sqlite3.Connection, sort: str) -> tuple[str, int | None]:
    """Return the name by which a list is sorted, and its kind if it is a metric or parameter. Raises UsageError."""
    word = sort.removeprefix("-")
    if not word:
        return "", None
    asked, dot, rest = word.partition(".")
    if dot and asked in facts.KINDS and _exists(db, facts.KINDS[asked], rest):
        return rest, facts.KINDS[asked]
    for kind in (facts.METRIC, facts.PARAMETER):
        if _exists(db, kind, word):
            return word, kind
    if word in _SORTED:
        return word, None
    raise UsageError(
        f"no run has a metric or parameter {word[:80]!r} to sort by",
        hint="sort by `started`, `took`, or a metric or parameter of the runs",
    )


def _kind_of(db: sqlite3.Connection, bound: Comparison) -> int | None:
    """Return the kind of the fact that a bound is about; None if it is none, or not clear without each run."""
    if bound.kind:
        return facts.KINDS[bound.kind]
    if bound.name in EVERY:
        return None
    kinds = [kind for kind in (facts.METRIC, facts.PARAMETER) if _exists(db, kind, bound.name)]
    # A name that is both is the metric in a run that has it, and the parameter in others.
    return kinds[0] if len(kinds) == 1 else None


def _is_fact(db: sqlite3.Connection, name: str) -> bool:
    """Tell whether any run has a metric or parameter of that name. It comes before what every run has."""
    return any(_exists(db, kind, name) for kind in (facts.METRIC, facts.PARAMETER))


def _exists(db: sqlite3.Connection, kind: int, name: str) -> bool:
    sql = "SELECT 1 FROM fact WHERE kind = ? AND name = ? LIMIT 1"
    return db.execute(sql, (kind, name)).fetchone() is not None


def _compared(expression: str, bound: Comparison) -> tuple[str, object]:
    """Return the condition that a value fulfils a bound. Values of other types never do."""
    kinds = "'text'" if isinstance(bound.value, str) else "'integer', 'real'"
    return f"typeof({expression}) IN ({kinds}) AND {expression} {_MARKS[bound.mark]} ?", bound.value


def _is_rare(db: sqlite3.Connection, source: str, *values: object) -> bool:
    sql = f"SELECT count(*) FROM ({source} LIMIT {_RARE + 1})"
    return int(db.execute(sql, values).fetchone()[0]) <= _RARE


def _is_rare_bound(db: sqlite3.Connection, bound: Comparison, kind: int) -> bool:
    condition, value = _compared("value", bound)
    source = f"SELECT 1 FROM fact INDEXED BY fact_value WHERE kind = ? AND name = ? AND {condition}"
    # Values of other types stand at the ends of the index, so a range without them is short to read.
    return _is_rare(db, source, kind, bound.name, value)
