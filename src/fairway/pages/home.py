"""The first page: what runs, what failed lately and why, what serves, and the newest models."""

import asyncio
from typing import Any

from starlette.responses import Response

from fairway.pages.endpoints import by_endpoint
from fairway.pages.health import health_of
from fairway.pages.live import Live, Look, Regions
from fairway.pages.models import figures
from fairway.pages.rendering import render
from fairway.pages.visit import View, Visit
from fairway.plan.revisions import before
from fairway.ports.platform import Platform
from fairway.spec.run import Phase, RunSummary

_RECENT = 100
_SHOWN = 10


class Home:
    """The first page.

    Args:
        live: sends the regions that change.
    """

    def __init__(self, live: Live) -> None:
        self._live = live

    def views(self) -> list[View]:
        """Return the page and its stream."""
        return [View(path="/", handler=self.show), View(path="/live", handler=self.stream)]

    async def show(self, visit: Visit) -> Response:
        """Show what runs, what failed, what serves and the newest models."""
        platform = visit.platform
        runs, models, endpoints, deployments, health = await asyncio.gather(
            platform.runs(_RECENT),
            platform.models(),
            platform.endpoints(),
            platform.serving.deployments(),
            health_of(platform),
        )
        past = by_endpoint(deployments)
        newest = sorted(models, key=lambda one: one.newest.created, reverse=True)[:_SHOWN]
        return visit.page(
            "home.html",
            title="Home",
            command="fairway",
            **_runs(runs),
            is_empty=not runs and not models and not endpoints,
            models=newest,
            figures_of={one.name: figures(one.newest)[:2] for one in newest},
            endpoints=endpoints,
            last={name: found[0] for name, found in past.items()},
            back={one.name: before(past.get(one.name, []), one.wanted) for one in endpoints},
            health=health,
        )

    async def stream(self, visit: Visit) -> Response:
        """Send what runs and what failed when it changes."""
        platform = visit.platform

        async def make() -> Look:
            return Look(await _regions(platform))

        return self._live.stream("home", make)


async def _regions(platform: Platform) -> Regions:
    return {"runs": render("home_runs.html", _runs(await platform.runs(_RECENT)))}


def _runs(runs: list[RunSummary]) -> dict[str, Any]:
    """Return the runs at work, and those that failed or were interrupted, for the template of both."""
    running = [run for run in runs if not run.phase.ended and run.alive]
    failed = [
        run for run in runs if run.phase is Phase.FAILED or (run.phase is Phase.RUNNING and not run.alive)
    ]
    return {
        "running": running[:_SHOWN],
        "running_count": len(running),
        "failed": failed[:_SHOWN],
        "failed_count": len(failed),
        "looked_at": len(runs),
    }
