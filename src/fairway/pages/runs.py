"""The list of runs: newest first, filtered, sorted and paged by its address alone."""

import time
from collections import Counter
from shlex import quote
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from fairway.pages.columns import chosen
from fairway.pages.visit import View, Visit
from fairway.spec.history import RunQuery, RunRecord, parse_phase
from fairway.spec.text import shortened
from fairway.spec.times import parse_moment

_ROWS = 50
_LONGEST = 2000
"""The characters of a field of the address that are looked at."""

FILTERS = ("pipeline", "phase", "where", "since", "tag", "text")
"""The fields of the filter, as `fairway runs` calls them."""

KEPT = (*FILTERS, "show", "sort")
"""The fields that make the view of a list. `before` turns its pages and is no part of it."""


class Runs:
    """The list of runs."""

    def views(self) -> list[View]:
        """Return the page."""
        return [View(path="/runs", handler=self.show)]

    async def show(self, visit: Visit) -> Response:
        """Show one page of the runs that the address asks for."""
        asked = {name: value[:_LONGEST] for name, value in visit.query.items() if value.strip()}
        found = await visit.platform.past(_query(asked, time.time()))
        runs, more = found[:_ROWS], len(found) > _ROWS
        known = [run.known for run in runs]
        columns = chosen(known, asked.get("show", ""), asked.get("sort", ""))
        kept = {name: asked[name] for name in KEPT if name in asked}
        return visit.page(
            "runs.html",
            title=_title(asked),
            command=_command(asked),
            rows=[
                _row(run, [column.cell(facts) for column in columns])
                for run, facts in zip(runs, known, strict=True)
            ],
            heads=[_head(column.title, column.key, kept, number=column.is_number) for column in columns],
            started=_head("started", "started", kept, number=False),
            took=_head("took", "took", kept, number=True),
            asked=dict.fromkeys(KEPT, "") | asked,
            filters=any(name in asked for name in FILTERS),
            listed=urlencode(kept),
            causes=_causes(runs),
            pipelines=sorted({run.pipeline for run in runs}),
            names=sorted({name for facts in known for name in (*facts.metrics, *facts.parameters)})[:200],
            first="?" + urlencode(kept) if "before" in asked else "",
            more="?" + urlencode(kept | {"before": runs[-1].name}) if more else "",
        )


def _query(asked: dict[str, str], now: float) -> RunQuery:
    """Return the query for one page and one run more, which tells whether there is another page. Raises UsageError."""
    return RunQuery(
        pipeline=asked.get("pipeline", ""),
        phase=parse_phase(asked.get("phase", "")),
        where=asked.get("where", ""),
        since=parse_moment(asked["since"], now) if "since" in asked else 0.0,
        tag=asked.get("tag", ""),
        text=asked.get("text", ""),
        sort=asked.get("sort", ""),
        before=asked.get("before", ""),
        limit=_ROWS + 1,
    )


def _title(asked: dict[str, str]) -> str:
    told = [asked[name] for name in FILTERS if name in asked]
    return shortened("Runs" + (f": {', '.join(told)}" if told else ""), 80)


def _command(asked: dict[str, str]) -> str:
    """Return the command that lists the same runs."""
    flags = {"show": "columns"}
    words = [f"--{flags.get(name, name)} {quote(asked[name])}" for name in KEPT if name in asked]
    return " ".join(["fairway runs", *words, f"--limit {_ROWS}"])


def _row(run: RunRecord, cells: list[str]) -> dict[str, Any]:
    return {
        "run": run,
        "cells": cells,
        "took": max(0.0, run.ended - run.started) if run.ended else None,
        "cause": shortened(run.message.split("\n")[0], 200),
    }


def _head(title: str, key: str, kept: dict[str, str], *, number: bool) -> dict[str, Any]:
    """Return the head of a column with the address that sorts by it: first the greatest, then the least, then no order."""
    now = kept.get("sort", "")
    following = {f"-{key}": key, key: ""}.get(now, f"-{key}")
    order = {f"-{key}": "descending", key: "ascending"}.get(now, "")
    there = {name: value for name, value in kept.items() if name != "sort"}
    if following:
        there["sort"] = following
    return {"title": title, "to": "?" + urlencode(there), "order": order, "number": number}


def _causes(runs: list[RunRecord]) -> list[tuple[str, int]]:
    """Return the causes that several runs of this page have in common, with their numbers."""
    counted = Counter(run.message.split("\n")[0] for run in runs if run.message)
    return [(shortened(cause, 120), count) for cause, count in counted.most_common(3) if count > 1]
