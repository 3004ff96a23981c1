"""The command that lists endpoints, and opens one of a cluster on this machine."""

import asyncio
import signal

import click

from fairway.cli import endpoint_views, looking, targeting
from fairway.cli.arguments import Argument
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.spec.endpoint import request_url
from fairway.spec.errors import EXIT_DONE, UsageError
from fairway.wiring import settings, target


@targeted
@click.command("endpoints")
@click.argument("name", default="", cls=Argument, completes="endpoint")
@click.option(
    "--forward", default="", metavar="ENDPOINT", help="Open an endpoint of a cluster on this machine."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="Port for --forward.  [default: a free one]"
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def endpoints_command(name: str, forward: str, port: int | None, as_json: bool) -> int:
    """List endpoints: where they answer, what they serve, and how they are.

    With NAME, show that endpoint with its revisions and the requests of the last hour; --json gives those of the day too.

    With --forward, open an endpoint of a cluster at a port of this machine, through the API server, until Ctrl-C.

    \b
    Example:
      fairway endpoints
      fairway endpoints churn
    """
    if port and not forward:
        raise UsageError("--port goes with --forward", hint="`fairway endpoints --forward NAME --port 8080`")
    if forward:
        return asyncio.run(_forward(forward, port or 0))
    if name:
        return asyncio.run(_one(name, as_json=as_json))
    found = looking.endpoints()
    if as_json:
        show_json(found)
        return EXIT_DONE
    if not found:
        report("no endpoints yet")
        report("hint: `fairway deploy MODEL` serves one; `fairway models` lists models")
        return EXIT_DONE
    show(*endpoint_views.table(found))
    if not targeting.is_away() and not target.is_up(settings.store_root()):
        report("hint: `fairway up` starts the platform, which looks after them")
    return EXIT_DONE


async def _one(name: str, *, as_json: bool) -> int:
    """Show one endpoint, its revisions and its traffic. Raises FairwayError."""
    async with targeting.closing(targeting.away() or target.here(settings.store_root())) as platform:
        status = next((one for one in await platform.endpoints() if one.name == name), None)
        deployments = await platform.serving.deployments(name)
        if status is None and not deployments:
            looking.named(name, await platform.endpoints())
        traffic = await platform.serving.traffic(name)
    if as_json:
        show_json({"status": status, "deployments": deployments, "traffic": traffic})
        return EXIT_DONE
    if status is not None:
        show(*endpoint_views.table([status]))
    show("", *endpoint_views.past(deployments), "", endpoint_views.busy(traffic))
    return EXIT_DONE


async def _forward(name: str, port: int) -> int:
    """Open an endpoint at a port of this machine until Ctrl-C. Raises FairwayError."""
    from fairway.wiring import servers

    chosen = targeting.chosen()
    if chosen is None:
        raise UsageError(
            "endpoints of this machine have their ports here already",
            hint=f"`fairway endpoints` lists them; `fairway endpoints --forward {name} --target NAME` is for a cluster",
        )
    platform = targeting.away()
    assert platform is not None
    async with targeting.closing(platform):
        status = looking.named(name, await platform.endpoints())
    left = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, left.set)
    async with servers.opened(chosen, name, port, report) as address:
        url = request_url(address, status.revision) if status.revision is not None else address
        report(f"{name} on {chosen.name} answers here until Ctrl-C; API description: {address}/openapi.json")
        show(url)
        await left.wait()
    report(f"{name} is not open on this machine any more; it goes on serving on {chosen.name}")
    return EXIT_DONE
