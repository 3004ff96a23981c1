"""The output of steps: the last lines of one, and its log as a page of its own, searched and read in bounded parts."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response, StreamingResponse

from fairway.pages.live import Live, Look, Make
from fairway.pages.rendering import render
from fairway.pages.run_view import RunViews
from fairway.pages.visit import SAFE, View, Visit, address
from fairway.ports.platform import Platform
from fairway.spec.errors import NotFound
from fairway.spec.log import LogPart, LogQuery
from fairway.spec.quantities import whole_number
from fairway.spec.run import RunStatus, StepStatus
from fairway.spec.text import plain, shortened
from fairway.spec.wire import DRIVER

_LINES = 300
_AROUND = 2000
"""The lines around a place that are sent as a file."""

_LIVE_LINES = 200
_LONGEST = 500
_WIDEST = 4000
"""The characters of a line that are shown. The whole line is in the download."""

_SAVED = 1000


class Logs:
    """The pages of the output of steps.

    Args:
        live: sends the last lines to those who look.
        run_views: what pages show of runs.
    """

    def __init__(self, live: Live, run_views: RunViews) -> None:
        self._live = live
        self._run_views = run_views

    def views(self) -> list[View]:
        """Return the page, its stream and its downloads."""
        base = "/runs/{name}/steps/{step}/log"
        return [
            View(path=base, handler=self.show),
            View(path=f"{base}/live", handler=self.stream),
            View(path=f"{base}/download", handler=self.download),
        ]

    async def show(self, visit: Visit) -> Response:
        """Show a part of a log: its end, a place in it, or the lines around what a search found."""
        status, step, attempts = await self._asked(visit)
        wanted = _query(visit, step, attempts)
        part = await visit.platform.log(status.spec.name, wanted)
        is_end = not wanted.find and not wanted.problems and part.end >= part.size
        base = address("runs", status.spec.name, "steps", step, "log")
        running = status.alive and not status.phase.ended
        return visit.page(
            "log.html",
            title=f"Log of {step} in {status.spec.name}",
            command=f"fairway logs {status.spec.name}/{step}",
            run=status,
            step=step,
            attempts=attempts,
            part=part,
            lines=_lines(part),
            base=base,
            live=f"{base}/live?attempt={part.attempt}"
            if running and is_end and "at" not in visit.query
            else "",
            links=_links(base, part, wanted),
            asked=wanted,
            failed=wanted.problems or bool(wanted.find),
        )

    async def stream(self, visit: Visit) -> Response:
        """Send the last lines of a log whenever there are more."""
        status, step, attempts = await self._asked(visit)
        attempt = _query(visit, step, attempts).attempt
        name = status.spec.name
        return self._live.stream(f"log {name}/{step}.{attempt}", _making(visit.platform, name, step, attempt))

    async def download(self, visit: Visit) -> Response:
        """Send a whole log, or the lines around a place, as a text file."""
        status, step, attempts = await self._asked(visit)
        name = status.spec.name
        attempt = _query(visit, step, attempts).attempt
        around = whole_number(visit.query.get("at", ""))
        file = f"{name}-{step}-{attempt}{'' if around is None else f'-around-{around}'}.log"
        safe = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in file
        )
        headers = SAFE | {"content-disposition": f'attachment; filename="{safe}"'}
        pieces = _text(visit.platform, name, LogQuery(step=step, attempt=attempt), around)
        return StreamingResponse(pieces, 200, headers, "text/plain; charset=utf-8")

    async def _asked(self, visit: Visit) -> tuple[RunStatus, str, list[int]]:
        """Return the run, the name of the step and its attempts with output. Raises NotFound."""
        params = visit.request.path_params
        view = await self._run_views.of(visit.platform, params["name"])
        step, run = str(params["step"]), view.run.spec.name
        if step != DRIVER:
            view.steps.step(run, step)
        return view.run, step, await _attempts(visit.platform, run, step)


async def last_lines(platform: Platform, status: RunStatus, step: StepStatus | None, most: int) -> list[str]:
    """Return the last lines that a step printed, or the pipeline if the step is None."""
    name = step.spec.name if step is not None else DRIVER
    attempts = await _attempts(platform, status.spec.name, name)
    if not attempts:
        return []
    query = LogQuery(step=name, attempt=attempts[-1], at=-1, back=True, lines=most)
    part = await platform.log(status.spec.name, query)
    return [shortened(plain(line.text), _SAVED) for line in part.lines]


async def _attempts(platform: Platform, run: str, step: str) -> list[int]:
    outputs = await platform.outputs(run)
    return sorted(number for name, number in outputs.attempts if name == step)


def _query(visit: Visit, step: str, attempts: list[int]) -> LogQuery:
    """Return the query that the address means. Raises NotFound."""
    asked = visit.query
    attempt = whole_number(asked.get("attempt", ""), 2**31 - 1)
    if attempt is None:
        attempt = attempts[-1] if attempts else 1
    elif attempt not in attempts:
        raise NotFound(f"attempt {attempt} of {shortened(step, 80)} has no output")
    at = whole_number(asked.get("at", ""), 2**53 - 1)
    find = asked.get("find", "")[:_LONGEST]
    problems = asked.get("problems", "") == "1"
    searching = problems or bool(find)
    back = asked.get("back", "") == "1" or (at is None and not searching)
    return LogQuery(
        step=step,
        attempt=attempt,
        at=-1 if at is None else at,
        lines=_LINES,
        back=back,
        find="" if problems else find,
        problems=problems,
    )


def _lines(part: LogPart) -> list[dict[str, Any]]:
    return [
        {
            "number": part.number + place if part.number else 0,
            "at": part.places[place],
            "time": line.time,
            "text": shortened(plain(line.text), _WIDEST),
            "found": part.places[place] == part.found,
        }
        for place, line in enumerate(part.lines)
    ]


def _links(base: str, part: LogPart, query: LogQuery) -> list[tuple[str, str]]:
    """Return the ways to other parts of the log, as address and name."""
    here = f"{base}?attempt={part.attempt}"
    behind = part.places[part.places.index(part.found) + 1] if part.found in part.places[:-1] else part.end
    before = part.found if part.found >= 0 else part.end
    links = [(f"{here}&at=0", "first line"), (here, "last line")]
    if part.start > 0:
        links.append((f"{here}&at={part.start}&back=1", "earlier"))
    if part.end < part.size:
        links.append((f"{here}&at={part.end}", "later"))
    links += [(f"{here}&problems=1", "first problem"), (f"{here}&problems=1&back=1", "last problem")]
    if query.problems and part.found >= 0:
        links += [
            (f"{here}&problems=1&at={before}&back=1", "previous problem"),
            (f"{here}&problems=1&at={behind}", "next problem"),
        ]
    if query.find and part.found >= 0:
        found = address("", find=query.find).partition("?")[2]
        links += [
            (f"{here}&{found}&at={before}&back=1", "previous match"),
            (f"{here}&{found}&at={behind}", "next match"),
        ]
    return links


def _making(platform: Platform, run: str, step: str, attempt: int) -> Make:
    """Return the function that makes the last lines of a log."""

    async def make() -> Look:
        # Ask first whether anybody works on the run: what is read after that is all that there will be.
        alive = (await platform.outputs(run)).alive
        query = LogQuery(step=step, attempt=attempt, at=-1, back=True, lines=_LIVE_LINES)
        part = await platform.log(run, query)
        return Look({"log": render("log_lines.html", {"lines": _lines(part), "here": ""})}, not alive)

    return make


async def _text(platform: Platform, run: str, query: LogQuery, around: int | None) -> AsyncIterator[str]:
    """Yield the lines of a whole log, or of the part around a place."""
    if around is not None:
        before = await platform.log(run, _at(query, around, lines=_AROUND // 2, back=True))
        behind = await platform.log(run, _at(query, around, lines=_AROUND // 2, back=False))
        yield "".join(f"{plain(line.text)}\n" for part in (before, behind) for line in part.lines)
        return
    offset = 0
    while True:
        page = await platform.logs(run, query.step, query.attempt, offset)
        if page.offset == offset:
            return
        yield "".join(f"{plain(line.text)}\n" for line in page.lines)
        offset = page.offset


def _at(query: LogQuery, at: int, *, lines: int, back: bool) -> LogQuery:
    return LogQuery(step=query.step, attempt=query.attempt, at=at, lines=lines, back=back)
