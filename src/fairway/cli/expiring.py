"""The runs that a project does not keep any longer, by `[tool.fairway.keep]`, and their removal."""

import time

from fairway.cli.asking import ask
from fairway.ports.platform import Platform
from fairway.spec.errors import FairwayError
from fairway.spec.history import RunQuery, RunRecord
from fairway.spec.retention import Retention


def expired(platform: Platform, keep: Retention) -> list[str]:
    """Return the names of the runs that are kept no longer. A run whose model is still there is kept."""
    if not keep.seconds:
        return []
    before = time.time() - keep.seconds
    found = [run for run in ask(platform.past(RunQuery(until=before))) if _may_go(run, keep, before)]
    if not found:
        return []
    there = {
        f"{model.name}:{version.version}"
        for model in ask(platform.models())
        for version in ask(platform.versions(model.name))
    }
    return [run.name for run in found if not there.intersection(run.known.models)]


def remove(platform: Platform, names: list[str]) -> int:
    """Remove runs and return their number. A run that somebody needs meanwhile stays."""
    removed = 0
    for begin in range(0, len(names), _BATCH):
        batch = names[begin : begin + _BATCH]
        try:
            removed += len(ask(platform.remove(batch, really=True)))
        except FairwayError:
            # One of them is needed by now, and a removal is of all or none. So each is tried alone.
            for name in batch:
                try:
                    removed += len(ask(platform.remove([name], really=True)))
                except FairwayError:
                    continue
    return removed


_BATCH = 100


def _may_go(run: RunRecord, keep: Retention, before: float) -> bool:
    if not run.phase.ended or run.ended > before:
        return False
    return not (keep.tagged and run.tags)
