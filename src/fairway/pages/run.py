"""The page of one run: its state live, why it failed, its steps, curves and values, and the buttons for it."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from fairway.pages.artifacts import value, values
from fairway.pages.live import Live, Look, Make
from fairway.pages.logs import last_lines
from fairway.pages.rendering import render
from fairway.pages.run_view import RunView, RunViews
from fairway.pages.runs import KEPT
from fairway.pages.tracebacks import frame_of
from fairway.pages.visit import View, Visit, address
from fairway.ports.platform import Platform
from fairway.spec.access import Role
from fairway.spec.artifact import Artifact, Node
from fairway.spec.run import RunRequest, RunStatus

_LAST_LINES = 12
_SLOWER = 9.0
"""The seconds of rest for each second that the regions of a run took, so that a run of many steps costs no more than a tenth."""


class RunPage:
    """The page of one run.

    Args:
        live: sends the regions of the page to those who look.
        run_views: what pages show of runs.
    """

    def __init__(self, live: Live, run_views: RunViews) -> None:
        self._live = live
        self._run_views = run_views

    def views(self) -> list[View]:
        """Return the page and the targets of its forms."""
        made = [
            View(path="/runs/{name}", handler=self.show),
            View(path="/runs/{name}/live", handler=self.stream),
        ]
        for action, handler in (
            ("cancel", self.cancel),
            ("resume", self.resume),
            ("tag", self.tag),
            ("untag", self.untag),
            ("note", self.note),
        ):
            made.append(
                View(path=f"/runs/{{name}}/{action}", handler=handler, role=Role.RUNNER, method="POST")
            )
        return made

    async def show(self, visit: Visit) -> Response:
        """Show a run, or a page of the steps of one task in it."""
        platform = visit.platform
        view = await self._run_views.of(platform, _name(visit))
        status = view.run
        task = visit.query.get("task", "")
        page = view.steps.page(task, _whole(visit.query.get("page", "1"))) if task else None
        listed, back = carried(visit.query)
        parts = await _parts(platform, view)
        result, left = await values(visit, view, _returned(status))
        pictures = [await value(visit, view, title, "", one) for title, one in status.shown.items()]
        return visit.page(
            "run.html",
            title=f"{status.spec.pipeline} {status.spec.name}",
            command=f"fairway show {status.spec.name}",
            **parts,
            page=page,
            parameters=_parameters(status),
            result=result,
            left=left,
            pictures=pictures,
            live="" if status.phase.ended or page is not None else address("runs", status.spec.name, "live"),
            listed=listed,
            back=back,
        )

    async def stream(self, visit: Visit) -> Response:
        """Send the regions of the page whenever something about the run changes."""
        name = (await self._run_views.of(visit.platform, _name(visit))).run.spec.name
        return self._live.stream(f"run {name}", _making(visit.platform, self._run_views, name))

    async def cancel(self, visit: Visit) -> Response:
        """Stop the run."""
        await visit.form()
        await visit.platform.cancel(_name(visit))
        return self._back(visit)

    async def resume(self, visit: Visit) -> Response:
        """Let an interrupted or failed run go on where it stopped."""
        await visit.form()
        status = await visit.platform.run(_name(visit))
        await visit.platform.submit(RunRequest(resume=status.spec.name, pipeline=status.spec.pipeline))
        return self._back(visit)

    async def tag(self, visit: Visit) -> Response:
        """Put a word on the run."""
        form = await visit.form()
        await visit.platform.tag(_name(visit), form.get("tag", ""), present=True)
        return self._back(visit)

    async def untag(self, visit: Visit) -> Response:
        """Take a word off the run."""
        form = await visit.form()
        await visit.platform.tag(_name(visit), form.get("tag", ""), present=False)
        return self._back(visit)

    async def note(self, visit: Visit) -> Response:
        """Write a text on the run."""
        form = await visit.form()
        await visit.platform.note(_name(visit), form.get("note", "").replace("\r\n", "\n"))
        return self._back(visit)

    def _back(self, visit: Visit) -> Response:
        return visit.go(address("runs", _name(visit)))


def carried(query: dict[str, str]) -> tuple[str, str]:
    """Return the filter that the list had, and the way back to the list with it.

    Only the fields of a list are taken from the address, so that nobody can make it lead elsewhere.
    """
    listed = urlencode([(name, text) for name, text in parse_qsl(query.get("list", "")) if name in KEPT])
    return listed, f"/runs?{listed}" if listed else "/runs"


def _name(visit: Visit) -> str:
    return str(visit.request.path_params["name"])


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _making(platform: Platform, run_views: RunViews, name: str) -> Make:
    """Return the function that makes the regions of a run."""
    rest = 0.0
    loop = asyncio.get_running_loop()

    async def make() -> Look:
        nonlocal rest
        await asyncio.sleep(rest)
        begun = loop.time()
        view = await run_views.of(platform, name)
        parts = await _parts(platform, view)
        made = {part: render(f"run_{part}.html", parts) for part in ("state", "steps", "pictures")}
        rest = _SLOWER * (loop.time() - begun)
        return Look(made, view.run.phase.ended or not view.run.alive)

    return make


async def _parts(platform: Platform, view: RunView) -> dict[str, Any]:
    """Return the values that the regions of a run need."""
    status, failed = view.run, view.failed
    failure = status.failure
    details = failure.details if failure is not None else ""
    if failed is not None and failed.failure is not None:
        details = failed.failure.details or details
    lines = await last_lines(platform, status, failed, _LAST_LINES) if failure is not None else []
    return {
        "run": status,
        "took": max(0.0, status.ended - status.started) if status.ended else None,
        "total": len(view.steps),
        "counts": view.counts,
        "failed": failed,
        "details": details,
        "frame": frame_of(details),
        "lines": lines,
        "rows": view.rows,
        "graph": view.graph,
        "timeline": view.timeline,
        "logged": view.logged,
    }


def _parameters(status: RunStatus) -> list[tuple[str, str]]:
    shown = {name: one.note for name, one in status.spec.parameters.items()}
    return list((shown | status.spec.shown).items())


def _returned(status: RunStatus) -> dict[str, Node]:
    """Return what the pipeline returned by a name for people; nothing if that is None."""
    node = status.result
    if node is None or (isinstance(node, Artifact) and node.inline == b"null"):
        return {}
    return {"result": node}
