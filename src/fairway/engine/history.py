"""Runs of the past that meet a condition, read from the record in batches."""

import difflib

import msgspec

from fairway.plan import conditions
from fairway.ports import Leases, MetadataStore
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.history import RunQuery, RunRecord

_BATCH = 5000


def past(metadata: MetadataStore, leases: Leases, query: RunQuery) -> list[RunRecord]:
    """Return the runs that a query asks for, newest first.

    Raises:
        UsageError: the condition does not follow the grammar, or no run knows a name in it.
        NotFound: there is no run `query.before`.
    """
    condition = conditions.parse(query.where) if query.where.strip() else None
    if query.before and query.before not in metadata.run_names(query.before):
        raise NotFound(f"there is no run {query.before!r}", hint="`fairway runs` lists them")
    found: list[RunRecord] = []
    looked: list[RunRecord] = []
    before = 0
    while True:
        most = min(_BATCH, query.limit) if query.limit and condition is None else _BATCH
        batch, before = metadata.past(query, before, most)
        if condition is None:
            found += batch
        else:
            looked = looked if len(looked) >= 2 * _BATCH else [*looked, *batch]
            found += filter(condition.holds, batch)
        if not before or (query.limit and len(found) >= query.limit):
            break
    if condition is not None and not found:
        _refuse_unknown(condition, looked)
    if query.limit:
        del found[query.limit :]
    for place, run in enumerate(found):
        if not run.phase.ended:
            found[place] = msgspec.structs.replace(run, alive=bool(leases.holder(run.name)))
    return found


def _refuse_unknown(condition: conditions.Condition, runs: list[RunRecord]) -> None:
    """Refuse a condition with a name that no run knows, because it is probably misspelt. Raises UsageError."""
    known = {name for facts in (run.known for run in runs) for name in (*facts.metrics, *facts.parameters)}
    for name in sorted(condition.names - known):
        if not known:
            return
        close = difflib.get_close_matches(name, sorted(known), 1)
        guess = f"did you mean `{close[0]}`? " if close else ""
        raise UsageError(
            f"no run has a metric or parameter {name!r}",
            hint=f"{guess}they have {', '.join(sorted(known)[:12])}",
        )
