"""Commands on endpoints and on the platform process that runs them."""

import asyncio
from collections.abc import Sequence

import click
import msgspec

from fairway.cli import targeting, views
from fairway.cli.arguments import Argument
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.errors import EXIT_DONE, NotFound, UsageError
from fairway.wiring import deployments, process, settings, target

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@targeted
@click.command("deploy")
@click.argument("what", default="", cls=Argument, completes="deployable")
@click.option("--name", default="", help="Name of the endpoint, instead of the model's.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=None, help="Processes that answer.  [default: 2]"
)
@click.option("--private", is_flag=True, help="Answer only with a key, which is shown once.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port of the endpoint.")
@_JSON
def deploy_command(
    what: str, name: str, workers: int | None, private: bool, port: int | None, as_json: bool
) -> int:
    """Serve WHAT: a model by NAME, NAME:VERSION or NAME@ALIAS, or the endpoints in a FILE.py or module,
    or one of them by FILE.py:NAME.

    Without WHAT, the only registered model. What served before serves until the new revision answers.

    \b
    Example:
      fairway deploy churn@champion --workers 4
    """
    file, module, only = _project_of(what)
    there = targeting.away()
    if there is not None and file:
        raise UsageError(
            f"endpoints in a file cannot be served on {there.place} yet",
            hint=f"`fairway deploy {what} --target local` serves them on this machine",
        )
    root = settings.store_root(file, module)
    platform = there or target.here(root, _silent if as_json else report)
    if file:
        requests = asyncio.run(deployments.function_requests(root, file, module, only))
    else:
        requests = [asyncio.run(deployments.model_request(platform, what))]
    if (name or port) and len(requests) > 1:
        raise UsageError(f"{what} has {len(requests)} endpoints, which cannot share a name or port")
    deployed: list[Deployed] = []
    for request in requests:
        wanted = msgspec.structs.replace(
            request,
            name=name or request.name,
            workers=workers or request.workers,
            private=private or request.private,
            port=port or 0,
        )
        answer = asyncio.run(platform.deploy(wanted))
        deployed.append(answer)
        if not as_json:
            _story(answer, wanted)
    if as_json:
        show_json(deployed if file else deployed[0])
    return EXIT_DONE


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
    platform = targeting.acting(_silent if as_json else report)
    answer = asyncio.run(platform.rollback(endpoint, revision or 0))
    if as_json:
        show_json(answer)
    else:
        _story(answer, None)
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
    platform = targeting.acting(_silent if as_json else report)
    asyncio.run(platform.undeploy(endpoint))
    if as_json:
        show_json({"undeployed": endpoint})
    else:
        report(f"{endpoint} is removed")
    return EXIT_DONE


@targeted
@click.command("endpoints")
@_JSON
def endpoints_command(as_json: bool) -> int:
    """List endpoints: where they answer, what they serve, and how they are.

    \b
    Example:
      fairway endpoints
    """
    there = targeting.away()
    root = settings.store_root()
    runs = there is not None or target.is_up(root)
    found = asyncio.run((there or (target.here(root) if runs else target.looking(root, report))).endpoints())
    if as_json:
        show_json(found)
        return EXIT_DONE
    if not found:
        report("no endpoints yet")
        report("hint: `fairway deploy MODEL` serves one; `fairway models` lists models")
        return EXIT_DONE
    rows = [
        (
            status.name,
            status.url,
            f"{status.wanted}"
            if status.serving in (0, status.wanted)
            else f"{status.serving} → {status.wanted}",
            ", ".join(_served(status)),
            f"{status.ready}/{status.workers}",
            status.phase.lower(),
            status.reason[:80],
        )
        for status in found
    ]
    show(*views.table(("endpoint", "url", "revision", "serves", "workers", "phase", ""), rows))
    if not runs:
        report("hint: `fairway up` starts the platform, which looks after them")
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


def _story(answer: Deployed, request: DeployRequest | None) -> None:
    """Print what was deployed. Standard output gets only the URL that answers."""
    status, revision = answer.status, answer.status.revision
    workers = f"{status.workers} worker{'s' if status.workers != 1 else ''}"
    report(f"{status.name}  revision {status.wanted}  {', '.join([*_served(status), workers])}")
    if status.samples not in ("", "none"):
        report(f"  samples reproduced {status.samples}")
    if answer.key:
        report(f"  its key, shown this once: {answer.key}")
        report(f"  send it as the header `Authorization: Bearer {answer.key}`")
    elif request is not None and revision is not None and revision.key_digest:
        report("  private, with the key it had")
    show(status.url)


def _served(status: EndpointStatus) -> Sequence[str]:
    """Return what an endpoint serves, and its runtime if the workers reported it."""
    revision = status.revision
    if revision is None:
        return ()
    if revision.model is None:
        return (f"function {revision.function}",)
    named = f"{revision.model.name} " if revision.model.name != revision.endpoint else ""
    version = f"{named}version {revision.model.version}"
    return (version, status.runtime) if status.runtime else (version,)


def _silent(*lines: str) -> None:
    return
