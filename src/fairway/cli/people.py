"""The commands about people: the tokens that they have, and what they changed."""

import click

from fairway.cli import targeting
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.views import table, when
from fairway.spec.access import Role
from fairway.spec.deeds import KINDS, DeedQuery, Kind
from fairway.spec.errors import EXIT_DONE

_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_ROLES = [role.word for role in Role]
_MOST = 1000


@targeted
@click.group("tokens", invoke_without_command=True)
@_JSON
@click.pass_context
def tokens_command(context: click.Context, as_json: bool) -> int:
    """List the tokens of people, or give and take one.

    A person enters the page with a token, and commands and programs show it to the platform. Its role says what they may do:
    a viewer looks, a runner also starts and stops runs, a deployer also decides what serves, an administrator also gives tokens.

    \b
    Example:
      fairway tokens add ana --role runner
    """
    if context.invoked_subcommand is not None:
        return EXIT_DONE
    platform = targeting.looking()
    found = ask(platform.people.tokens())
    if as_json:
        show_json(found)
    elif found:
        rows = [
            (one.name, one.role, when(one.given), when(one.used) if one.used else "never") for one in found
        ]
        show(*table(("name", "role", "given", "last used"), rows))
    else:
        report("nobody has a token", "hint: `fairway tokens add NAME --role viewer` gives one")
    return EXIT_DONE


@targeted
@tokens_command.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(_ROLES), default="viewer", show_default=True, help="What the person may do."
)
@_JSON
def add_command(name: str, role: str, as_json: bool) -> int:
    """Give NAME a token, and print it this once.

    \b
    Example:
      fairway tokens add ana --role runner
    """
    with targeting.acting() as platform:
        made = ask(platform.people.give(name, role))
    if as_json:
        show_json(made)
        return EXIT_DONE
    report(
        f"{name} is {'an' if role[0] in 'aeiou' else 'a'} {role}; the token is shown this once",
        "hint: `fairway up` prints the address of the platform, at which the page takes the token",
    )
    show(made.token)
    return EXIT_DONE


@targeted
@tokens_command.command("rm")
@click.argument("name")
@_JSON
def rm_command(name: str, as_json: bool) -> int:
    """Take the token of NAME away. Pages that NAME has open are closed with it.

    \b
    Example:
      fairway tokens rm ana
    """
    with targeting.acting() as platform:
        ask(platform.people.take(name))
    if as_json:
        show_json({"taken": name})
    else:
        report(f"the token of {name} opens nothing any more")
    return EXIT_DONE


@targeted
@click.command("audit")
@click.argument("thing", required=False, default="")
@click.option("--by", default="", help="Only what this person changed.")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only changes of such things.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=50, show_default=True, help="At most so many."
)
@click.option(
    "--before", type=click.IntRange(0), default=0, help="Only changes with a lower number, to read on."
)
@_JSON
def audit_command(thing: str, by: str, kind: Kind | None, limit: int, before: int, as_json: bool) -> int:
    """Say who changed what and when, newest first: runs, models, endpoints, the store, tokens; or only THING.

    \b
    Example:
      fairway audit churn --kind endpoint
    """
    platform = targeting.looking()
    found = ask(platform.deeds(DeedQuery(who=by, kind=kind, name=thing, limit=limit, before=before)))
    if as_json:
        show_json(found)
        return EXIT_DONE
    if not found:
        report("nobody changed anything like that" if thing or by or kind else "nobody changed anything yet")
        return EXIT_DONE
    head = ("number", "when", "who", "what", "did", "detail")
    rows = [
        (str(one.number), when(one.time), one.who or "unknown", f"{one.kind} {one.name}".rstrip(), one.did, one.detail)
        for one in found
    ]  # fmt: skip
    show(*table(head, rows))
    if len(found) == limit:
        report(f"hint: older ones with `fairway audit --before {found[-1].number}`")
    return EXIT_DONE
