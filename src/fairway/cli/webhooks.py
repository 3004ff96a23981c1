"""The commands about webhooks: the addresses that are told of the end of runs."""

import asyncio
import os

import click

from fairway.cli import targeting
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.views import table
from fairway.spec import webhook_addresses as addresses
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, UsageError
from fairway.spec.webhook import Ending, NewWebhook
from fairway.wiring import hooks, process, settings

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_ENDINGS = [one.value for one in Ending]


@targeted
@click.group("webhooks", invoke_without_command=True)
@_JSON
@click.pass_context
def webhooks_command(context: click.Context, as_json: bool) -> int:
    """List the webhooks that are told of the end of runs, or set, try and remove one.

    \b
    Example:
      fairway webhooks add team --url-from CHAT_URL --on failure
    """
    if context.invoked_subcommand is not None:
        return EXIT_DONE
    platform = targeting.looking()
    found = ask(platform.webhooks.all())
    if as_json:
        show_json(found)
    elif found:
        rows = [
            (
                one.name,
                one.place,
                ", ".join(one.on),
                one.pipeline or "every one",
                "yes" if one.signed else "no",
            )
            for one in found
        ]
        show(*table(("webhook", "address", "on", "pipeline", "signed"), rows))
    else:
        report("nobody is told of the end of runs", "hint: `fairway webhooks add NAME URL` sets a webhook")
    return EXIT_DONE


@targeted
@webhooks_command.command("add")
@click.argument("name")
@click.argument("url", required=False, default="")
@click.option(
    "--url-from", metavar="VARIABLE", default="", help="The environment variable that holds the address."
)
@click.option(
    "--on",
    type=click.Choice(_ENDINGS),
    multiple=True,
    default=(Ending.FAILURE.value,),
    show_default=True,
    help="An end of runs to tell of. Repeat it for several.",
)
@click.option("--pipeline", default="", help="Tell only of runs of this pipeline.")
@click.option(
    "--key-from",
    metavar="VARIABLE",
    default="",
    help="The environment variable that holds the key to sign messages.",
)
@_JSON
def set_webhook_command(
    name: str, url: str, *, url_from: str, on: tuple[str, ...], pipeline: str, key_from: str, as_json: bool
) -> int:
    """Have NAME told of the end of runs by a POST to URL, in place of an earlier webhook of that name.

    The address is kept as a secret: only its scheme and host are shown. So give it in a variable if it is one.

    \b
    Example:
      fairway webhooks add team --url-from CHAT_URL --on failure --on success
    """
    process.refuse_in_step("a webhook")
    if bool(url) == bool(url_from):
        raise UsageError(
            "a webhook has one address", hint="`fairway webhooks add NAME URL`, or `--url-from VARIABLE`"
        )
    address = url or _variable(url_from)
    addresses.parts(address)
    hook = NewWebhook(
        name=name,
        url=address,
        on=tuple(Ending(one) for one in dict.fromkeys(on)),
        pipeline=pipeline,
        key=_variable(key_from) if key_from else "",
    )
    with targeting.acting() as platform:
        kept = ask(platform.webhooks.put(hook))
    if as_json:
        show_json(kept)
    else:
        of = f" of {kept.pipeline}" if kept.pipeline else ""
        report(
            f"{kept.place} is told of every {' and '.join(kept.on)}{of}",
            f"hint: `fairway webhooks test {kept.name}` tries it",
        )
    return EXIT_DONE


@targeted
@webhooks_command.command("rm")
@click.argument("name")
@_JSON
def rm_command(name: str, as_json: bool) -> int:
    """Remove the webhook NAME. Messages that wait for it are not posted.

    \b
    Example:
      fairway webhooks rm team
    """
    with targeting.acting() as platform:
        ask(platform.webhooks.remove(name))
    if as_json:
        show_json({"removed": name})
    else:
        report(f"webhook {name} is removed")
    return EXIT_DONE


@targeted
@webhooks_command.command("test")
@click.argument("name")
@_JSON
def test_command(name: str, as_json: bool) -> int:
    """Post a message that says it is a test to the webhook NAME, once, and say what became of it.

    \b
    Example:
      fairway webhooks test team
    """
    with targeting.acting() as platform:
        answer = ask(platform.webhooks.test(name))
    if as_json:
        show_json(answer)
    elif answer.why:
        report(f"error: {name} was not told: {answer.why}")
    else:
        report(f"{name} took the message, with status {answer.status}")
    return EXIT_FAILED if answer.why else EXIT_DONE


@webhooks_command.command("send")
@_JSON
def send_command(as_json: bool) -> int:
    """Post what still waits in the store of this machine, and return when each message has an outcome.

    A run does not wait for its messages. Where the machine goes away with the command, as in a container, call this last.

    \b
    Example:
      fairway run churn.py; fairway webhooks send
    """
    count = asyncio.run(hooks.send(settings.store_root()))
    if as_json:
        show_json({"posted": count})
    else:
        report(f"{count} {'message has' if count == 1 else 'messages have'} an outcome now")
    return EXIT_DONE


def _variable(name: str) -> str:
    """Return the value of an environment variable that the user named. Raises UsageError."""
    found = os.environ.get(name, "").strip()
    if not found:
        raise UsageError(f"the environment variable {name} is not set", hint=f"`export {name}=…`")
    return found
