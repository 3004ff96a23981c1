"""The list of endpoints, and one endpoint: how it is, what changes, its revisions, and the buttons that change it."""

import asyncio
import time

from starlette.responses import Response

from fairway.pages.changes import Changes
from fairway.pages.live import Live, Look, Regions
from fairway.pages.rendering import render
from fairway.pages.traffic import pictures_of, summary
from fairway.pages.visit import View, Visit
from fairway.plan.revisions import before, last_times
from fairway.ports.platform import Platform
from fairway.spec.access import Role
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.errors import FairwayError, NotFound
from fairway.spec.serving import Deployment, ServerOutput, Traffic

_MOST_TIMES = 100


class Endpoints:
    """The pages about endpoints.

    Args:
        live: sends the regions that change.
        changes: the changes that were begun on pages.
    """

    def __init__(self, live: Live, changes: Changes) -> None:
        self._live = live
        self._changes = changes

    def views(self) -> list[View]:
        """Return the pages and their streams."""
        one = "/endpoints/{name}"
        return [
            View(path="/endpoints", handler=self.all),
            View(path=one, handler=self.one),
            View(path=f"{one}/live", handler=self.stream),
            View(path=f"{one}/traffic", handler=self.traffic),
            View(path=f"{one}/output", handler=self.output),
            View(path=f"{one}/key", handler=self.ask_key, role=Role.DEPLOYER),
            View(path=f"{one}/key", handler=self.show_key, role=Role.DEPLOYER, method="POST"),
        ]

    async def all(self, visit: Visit) -> Response:
        """Show every endpoint."""
        endpoints, deployments = await asyncio.gather(
            visit.platform.endpoints(), visit.platform.serving.deployments()
        )
        by_name = by_endpoint(deployments)
        return visit.page(
            "endpoints.html",
            title="Endpoints",
            command="fairway endpoints",
            endpoints=endpoints,
            last={name: found[0] for name, found in by_name.items()},
            back={one.name: before(by_name.get(one.name, []), one.wanted) for one in endpoints},
            gone=[
                found[0]
                for name, found in by_name.items()
                if name not in {one.name for one in endpoints} and not found[0].revision
            ],
        )

    async def one(self, visit: Visit) -> Response:
        """Show one endpoint."""
        name = visit.request.path_params["name"]
        change = self._changes.of(name)
        status, deployments, traffic = await asyncio.gather(
            found(visit.platform, name),
            visit.platform.serving.deployments(name),
            _traffic(visit.platform, name),
        )
        if status is None and change is None and not deployments:
            raise NotFound(f"there is no endpoint {name[:80]!r}", hint="`fairway endpoints` lists them")
        return visit.page(
            "endpoint.html",
            title=f"Endpoint {name}",
            command=f"fairway endpoints {name}",
            name=name,
            endpoint=status,
            change=change,
            back=before(deployments, status.wanted) if status is not None else None,
            past=last_times(deployments)[:_MOST_TIMES],
            deployments=deployments[:_MOST_TIMES],
            summary=summary(traffic, time.time()),
        )

    async def stream(self, visit: Visit) -> Response:
        """Send the regions of an endpoint when they change."""
        name, platform = visit.request.path_params["name"], visit.platform

        async def make() -> Look:
            return Look(await self._regions(platform, name))

        return self._live.stream(f"endpoint {name}", make)

    async def _regions(self, platform: Platform, name: str) -> Regions:
        change = self._changes.of(name)
        values = {"name": name, "endpoint": await found(platform, name), "change": change}
        return {
            "change": render("endpoint_change.html", values),
            "status": render("endpoint_status.html", values),
        }

    async def traffic(self, visit: Visit) -> Response:
        """Show the traffic of the last hour and day as pictures, with the figures behind them."""
        name = visit.request.path_params["name"]
        traffic = await visit.platform.serving.traffic(name)
        return visit.page(
            "endpoint_traffic.html",
            title=f"Traffic of {name}",
            command=f"fairway endpoints {name} --json",
            name=name,
            spans=pictures_of(traffic, time.time()),
            until=traffic.until,
        )

    async def output(self, visit: Visit) -> Response:
        """Show what the servers printed last."""
        name = visit.request.path_params["name"]
        servers = list[ServerOutput]()
        why = None
        try:
            servers = await visit.platform.serving.output(name)
        except NotFound:
            raise
        except FairwayError as error:
            why = error
        return visit.page(
            "endpoint_output.html",
            title=f"Output of {name}",
            command=f"fairway logs {name}",
            name=name,
            servers=servers,
            why=why,
        )

    async def ask_key(self, visit: Visit) -> Response:
        """Show the form that gives the key of the last change."""
        return self._key(visit, "")

    async def show_key(self, visit: Visit) -> Response:
        """Show the key that the last change made, once."""
        await visit.form()
        key = self._changes.take_key(visit.request.path_params["name"], visit.actor.name)
        if not key:
            raise NotFound(
                "the key was shown already, or somebody else made it",
                hint="take the endpoint away and deploy it again for a new key",
            )
        return self._key(visit, key)

    def _key(self, visit: Visit, key: str) -> Response:
        name = visit.request.path_params["name"]
        return visit.page("endpoint_key.html", title=f"Key of {name}", name=name, key=key)


async def found(platform: Platform, name: str) -> EndpointStatus | None:
    """Return an endpoint as it is now; None if nothing should serve under that name."""
    return next((one for one in await platform.endpoints() if one.name == name), None)


async def named(visit: Visit) -> EndpointStatus:
    """Return the endpoint in the address of a request. Raises NotFound."""
    name = visit.request.path_params["name"]
    status = await found(visit.platform, name)
    if status is None:
        raise NotFound(f"nothing serves as {name[:80]!r}", hint="`fairway endpoints` lists what serves")
    return status


def by_endpoint(deployments: list[Deployment]) -> dict[str, list[Deployment]]:
    """Return deployments by the name of their endpoint, sorted by name."""
    found: dict[str, list[Deployment]] = {}
    for one in deployments:
        found.setdefault(one.endpoint, []).append(one)
    return dict(sorted(found.items()))


async def _traffic(platform: Platform, name: str) -> Traffic:
    try:
        return await platform.serving.traffic(name)
    except FairwayError:
        return Traffic()
