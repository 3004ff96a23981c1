"""Commands on endpoints and on the platform process that runs them."""

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from fairway.cli import endpoint_views, targeting
from fairway.cli.arguments import Argument
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.whereabouts import from_here
from fairway.spec.endpoint import Deployed, DeployRequest
from fairway.spec.errors import EXIT_DONE, Interrupted, NotFound, UsageError
from fairway.spec.quantities import Bounds
from fairway.wiring import deployments, process, serving, settings, target

if TYPE_CHECKING:
    from fairway.wiring.targets import Target

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


class _Replicas(click.ParamType[Bounds]):
    """A number of replicas, or the lowest and the highest one."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Bounds:
        """Return the bounds. Raises UsageError."""
        return value if isinstance(value, Bounds) else Bounds.parse(str(value))


@targeted
@click.command("deploy")
@click.argument("what", default="", cls=Argument, completes="deployable")
@click.option("--name", default="", help="Name of the endpoint, instead of the model's.")
@click.option(
    "--replicas",
    type=_Replicas(),
    default=None,
    help="Processes that answer, or pods on a cluster; 1-10 lets a cluster choose.  [default: 2]",
)
@click.option("--private", is_flag=True, help="Answer only with a key, which is shown once.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port of the endpoint.")
@_JSON
def deploy_command(
    what: str, name: str, replicas: Bounds | None, private: bool, port: int | None, as_json: bool
) -> int:
    """Serve WHAT: a model by NAME, NAME:VERSION or NAME@ALIAS, or the endpoints in a FILE.py or module,
    or one of them by FILE.py:NAME.

    Without WHAT, the only registered model. What served before serves until the new revision answers.

    \b
    Example:
      fairway deploy churn@champion --replicas 4
    """
    file, module, only = _project_of(what)
    deployed: list[Deployed] = []

    def wished(requests: list[DeployRequest]) -> list[DeployRequest]:
        if (name or port) and len(requests) > 1:
            raise UsageError(f"{what} has {len(requests)} endpoints, which cannot share a name or port")
        return [
            msgspec.structs.replace(
                request,
                name=name or request.name,
                replicas=replicas or request.replicas,
                private=private or request.private,
                port=port or 0,
            )
            for request in requests
        ]

    def done(answer: Deployed, request: DeployRequest) -> None:
        deployed.append(answer)
        if not as_json:
            _story(answer, request, away=there is not None)

    asked = serving.Asked(what, file, module, only)
    tell = _silent if as_json else report
    there = targeting.chosen(os.path.dirname(file))
    if there is not None and port:
        raise UsageError(
            f"an endpoint on {there.name} has an address of its own and no port to choose",
            hint=f"leave `--port` out; `{from_here('fairway endpoints --forward NAME --port PORT', None)}` chooses one here",
        )
    if there is not None:
        _deploy_there(there, asked, wished, done, tell)
    else:
        asyncio.run(_deploy_here(asked, wished, done, tell))
    if as_json:
        show_json(deployed if file else deployed[0])
    return EXIT_DONE


def _deploy_there(
    there: "Target", asked: serving.Asked, wished: serving.Wished, done: serving.Done, tell: target.Tell
) -> None:
    """Serve a model, or the endpoints of a project, on a target. Raises FairwayError."""
    try:
        asyncio.run(serving.deploy(there, asked, wished, done, tell))
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped here; a deployment that {there.name} has begun goes on",
            hint=f"`{from_here('fairway endpoints', None)}` shows it",
        ) from None


async def _deploy_here(
    asked: serving.Asked, wished: serving.Wished, done: serving.Done, tell: target.Tell
) -> None:
    """Serve a model, or the endpoints of a project, on this machine. Raises FairwayError."""
    root = settings.store_root(asked.file, asked.module)
    platform = target.here(root, tell)
    if asked.file:
        requests = await deployments.function_requests(root, asked.file, asked.module, asked.only)
    else:
        requests = [await deployments.model_request(platform, asked.model)]
    for request in wished(requests):
        done(await platform.deploy(request), request)


def _project_of(what: str) -> tuple[str, str, str]:
    """Return the file, module and endpoint that WHAT names. The file of a model is "". Raises NotFound, UsageError."""
    word, _, only = what.partition(":")
    if word.endswith(".py") or "/" in word:
        try:
            return *process.find_project(word), only
        except NotFound as error:
            hint = "a registered model goes by its name: `fairway models`"
            raise NotFound(error.message, hint=f"{error.hint}; {hint}") from None
    if "." in word and "@" not in word:
        try:
            return *process.find_project(word), only
        except NotFound:
            pass  # a model may have such a name
    return "", "", ""


@targeted
@click.command("rollback")
@click.argument("endpoint", cls=Argument, completes="endpoint")
@click.argument("revision", type=click.IntRange(1, 2**31 - 1), default=None, required=False)
@_JSON
def rollback_command(endpoint: str, revision: int | None, as_json: bool) -> int:
    """Return ENDPOINT to its previous revision, or to REVISION.

    \b
    Example:
      fairway rollback churn
    """
    with targeting.acting(_silent if as_json else report) as platform:
        answer = asyncio.run(platform.rollback(endpoint, revision or 0))
    if as_json:
        show_json(answer)
    else:
        _story(answer, None, away=targeting.is_away())
    return EXIT_DONE


@targeted
@click.command("undeploy")
@click.argument("endpoint", cls=Argument, completes="endpoint")
@_JSON
def undeploy_command(endpoint: str, as_json: bool) -> int:
    """Remove ENDPOINT after it finished what is in flight.

    \b
    Example:
      fairway undeploy churn
    """
    with targeting.acting(_silent if as_json else report) as platform:
        asyncio.run(platform.undeploy(endpoint))
    if as_json:
        show_json({"undeployed": endpoint})
    else:
        report(f"{endpoint} is removed")
    return EXIT_DONE


@click.command("up")
@click.option(
    "--foreground", is_flag=True, help="Stay in this terminal until Ctrl-C, which ends the endpoints too."
)
@_JSON
def up_command(foreground: bool, as_json: bool) -> int:
    """Start the platform process and the endpoints that are deployed.

    \b
    Example:
      fairway up
    """
    root = settings.store_root()
    if foreground:
        target.become(root)
    before = target.is_up(root)
    platform = target.apart(root)
    if as_json:
        show_json({"url": platform.place, "pid": target.process_of(root), "started": not before})
        return EXIT_DONE
    report("the platform runs already" if before else "the platform runs; `fairway down` stops it")
    show(platform.place)
    return EXIT_DONE


@click.command("down")
@_JSON
def down_command(as_json: bool) -> int:
    """Stop the platform process and its endpoints after what is in flight; `fairway up` brings both back.

    \b
    Example:
      fairway down
    """
    stopped = target.stop(settings.store_root())
    if as_json:
        show_json({"stopped": stopped})
    else:
        report("the platform and its endpoints are stopped" if stopped else "nothing runs here")
    return EXIT_DONE


def _story(answer: Deployed, request: DeployRequest | None, *, away: bool) -> None:
    """Print what was deployed. Standard output gets only the URL that answers."""
    report(*endpoint_views.deployed(answer, request))
    if away:
        command = from_here(f"fairway endpoints --forward {answer.status.name}", None)
        report(f"  in the cluster alone; `{command}` opens it on this machine")
    show(answer.status.url)


def _silent(*lines: str) -> None:
    return
