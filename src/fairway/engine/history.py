"""Runs of the past that meet a condition, read from the record: all at once, or in batches up to a limit."""

import difflib

import msgspec

from fairway.engine.names import is_known
from fairway.plan import conditions
from fairway.ports import Leases, MetadataStore
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.history import ALL, START, RunQuery, RunRecord
from fairway.spec.run import Phase

_BATCH = 5000
_GOING = (Phase.PENDING, Phase.RUNNING)
_FIRST = 200
"""The runs in the first batch for a condition. Most lists are short, and most runs that the bounds leave fulfil it."""


def past(metadata: MetadataStore, leases: Leases, query: RunQuery) -> list[RunRecord]:
    """Return the runs that a query asks for, in its order.

    Raises:
        UsageError: the condition does not follow the grammar, or no run knows a name in it or in the order.
        NotFound: there is no run `query.before`.
    """
    condition = conditions.parse(query.where) if query.where.strip() else None
    if query.before and not is_known(metadata, query.before):
        raise NotFound(f"there is no run {query.before!r}", hint="`fairway runs` lists them")
    if condition is not None:
        _refuse_unknown(condition, metadata)
    bounds = condition.bounds if condition is not None else ()
    found: list[RunRecord] = []
    after = START
    # Without a limit, one batch is faster than many, and each run of it is kept anyway.
    most = min(_BATCH, query.limit) if query.limit else ALL
    if condition is not None and query.limit:
        most = max(most, _FIRST)
    while True:
        batch, after = metadata.past(query, bounds, after, most)
        found += batch if condition is None else filter(condition.holds, batch)
        most = _BATCH
        if after == START or (query.limit and len(found) >= query.limit):
            break
    if query.limit:
        del found[query.limit :]
    for place, run in enumerate(found):
        if run.phase in _GOING:
            found[place] = msgspec.structs.replace(run, alive=bool(leases.holder(run.name)))
    return found


def _refuse_unknown(condition: conditions.Condition, metadata: MetadataStore) -> None:
    """Refuse a condition with a name that no run knows, because it is probably misspelt. Raises UsageError."""
    unknown = metadata.lacking_facts(sorted(condition.names))
    known = sorted(metadata.fact_names()) if unknown else []
    if not known:
        return
    close = difflib.get_close_matches(unknown[0], known, 1)
    guess = f"did you mean `{close[0]}`? " if close else ""
    raise UsageError(
        f"no run has a metric or parameter {unknown[0]!r}", hint=f"{guess}they have {', '.join(known[:12])}"
    )
