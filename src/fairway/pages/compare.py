"""Runs beside one another: what differs first, curves laid over one another, and the difference of their code."""

import asyncio
import difflib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from fairway.evaluation import pictures
from fairway.pages.artifacts import looked
from fairway.pages.curves import overlaid, series_of
from fairway.pages.run import carried
from fairway.pages.visit import View, Visit
from fairway.ports.platform import Platform
from fairway.spec import comparison
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.history import RunQuery
from fairway.spec.run import RunStatus

_MOST_RUNS = 20
_MOST_FACTS = 400
_MOST_DRAWN = 3
"""The runs up to which the pictures of evaluations are shown."""

_MOST_EVALUATIONS = 20
_MOST_LINES = 400
"""The lines of a difference of code that are shown."""


class ComparedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A source file that differs, with the lines that came and went."""

    told: str
    lines: list[str]


class Compare:
    """The page that compares runs."""

    def views(self) -> list[View]:
        """Return the page."""
        return [View(path="/compare", handler=self.show)]

    async def show(self, visit: Visit) -> Response:
        """Compare the runs that the address names. A single run is compared with the one before it."""
        names = await _names(visit)
        statuses = await asyncio.gather(*(visit.platform.run(name) for name in names))
        evaluations = [await _evaluations(visit.platform, status) for status in statuses]
        facts = [
            comparison.facts_of(status, found) for status, found in zip(statuses, evaluations, strict=True)
        ]
        differ, equal = comparison.differing(facts)
        listed, back = carried(visit.query)
        return visit.page(
            "compare.html",
            title=f"Compare {', '.join(names)}"[:80],
            command=f"fairway compare {' '.join(names)}",
            runs=[
                (status, _address([one for one in names if one != status.spec.name], listed))
                for status in statuses
            ],
            groups=list(_groups(differ[:_MOST_FACTS], facts)),
            more=max(0, len(differ) - _MOST_FACTS),
            equal=[(key, facts[0].get(key, "")) for key in equal[:_MOST_FACTS]],
            equals=len(equal),
            curves=overlaid({status.spec.name: series_of(status) for status in statuses}),
            files=await _files(visit.platform, names),
            drawn=_drawn(statuses, evaluations),
            listed=listed,
            back=back,
        )


async def _names(visit: Visit) -> list[str]:
    """Return the names of the runs to compare. Raises NotFound, UsageError."""
    asked = [name.strip() for name in visit.request.query_params.getlist("run") if name.strip()]
    if len(asked) > _MOST_RUNS:
        raise UsageError(f"{len(asked)} runs are too many to compare", hint=f"choose at most {_MOST_RUNS}")
    if not asked:
        raise UsageError("no run is chosen", hint="choose some in the list of runs")
    names = list(dict.fromkeys([await visit.platform.find(name) for name in asked]))
    if len(names) > 1 or len(asked) > 1:
        return names
    pipeline = (await visit.platform.run(names[0])).spec.pipeline
    before = await visit.platform.past(RunQuery(pipeline=pipeline, before=names[0], limit=1))
    return [*(run.name for run in before), *names]


def _address(names: list[str], listed: str) -> str:
    runs = "&".join(f"run={quote(name, safe='')}" for name in names)
    return f"/compare?{runs}" + (f"&list={quote(listed, safe='')}" if listed else "") if names else ""


async def _evaluations(platform: Platform, status: RunStatus) -> dict[str, Evaluation | str]:
    """Return the evaluations that steps of a run returned, by step."""
    found: dict[str, Evaluation | str] = {}
    for step in status.steps:
        for output in step.outputs:
            if output.kind.endswith("Evaluation") and len(found) < _MOST_EVALUATIONS:
                seen = await looked(platform, output)
                found[step.spec.name] = seen.evaluation or seen.more or "not shown"
    return found


def _groups(
    differ: list[str], facts: list[dict[str, str]]
) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """Yield each kind of facts that differ, with the cells of its rows."""
    for kind in comparison.KINDS:
        keys = [key for key in differ if key.partition(" ")[0] == kind]
        if keys:
            yield kind, [(key.partition(" ")[2] or key, [one.get(key, "") for one in facts]) for key in keys]


async def _files(platform: Platform, names: list[str]) -> list[ComparedFile]:
    """Return the source files that differ between the first and the last run; none if the code of one is not on record."""
    try:
        before, after = await asyncio.gather(platform.code(names[0]), platform.code(names[-1]))
    except FairwayError:
        return []
    return await asyncio.to_thread(_compared, before, after)


def _compared(before: dict[str, str | None], after: dict[str, str | None]) -> list[ComparedFile]:
    left = _MOST_LINES
    found: list[ComparedFile] = []
    for told in comparison.changed_files(before, after):
        path = told.partition(" ")[0]
        old, new = (before.get(path) or "").splitlines(), (after.get(path) or "").splitlines()
        lines = [line[:400] for line in difflib.unified_diff(old, new, lineterm="", n=2)][2 : 2 + left]
        left -= len(lines)
        found.append(ComparedFile(told=told, lines=lines))
    return found


def _drawn(
    statuses: list[RunStatus], evaluations: list[dict[str, Evaluation | str]]
) -> list[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Return the pictures of the last evaluation of each run, if the runs are few."""
    if len(statuses) > _MOST_DRAWN:
        return []
    found: list[tuple[str, list[tuple[str, dict[str, Any]]]]] = []
    for status, by_step in zip(statuses, evaluations, strict=True):
        last = [(step, pictures(one)) for step, one in by_step.items() if isinstance(one, Evaluation)][-1:]
        if last:
            found.append((status.spec.name, [(step, dict(drawn)) for step, drawn in last]))
    return found
