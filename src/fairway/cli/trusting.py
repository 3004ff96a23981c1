"""The command that makes a store of somebody else one's own, and the checks of owner and modes for `doctor`."""

from pathlib import Path

import click

from fairway.cli.story import report, show_json
from fairway.formats import CODE_FORMATS
from fairway.spec.errors import EXIT_DONE, NotFound
from fairway.spec.text import legible
from fairway.spec.upkeep import Check
from fairway.stores import trusting
from fairway.wiring import machine, settings

_MEANING = (
    "to trust it means: what is in it may run as you. `fairway run` takes results from it, `fairway resume` imports its",
    "project files, `fairway deploy` and `fairway up` load its models and start its endpoints",
)


@click.command("trust")
@click.option("--show", is_flag=True, help="Only say what is in the store.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def trust_command(show: bool, as_json: bool) -> int:
    """Make the store here yours, after it came from a clone, an archive, a backup or another machine.

    Says what is in it that could run. What a store holds runs as you once it is trusted.

    \b
    Example:
      fairway trust --show
    """
    root = settings.store_root()
    stores = machine.LocalStores(root)
    if not stores.layout.check():
        raise NotFound(f"there is no store at {root}", hint="`fairway run FILE` makes one")
    why = stores.metadata.why_foreign()
    if why:
        stores.metadata.check_kinds()
    found = trusting.held(stores.metadata, CODE_FORMATS)
    stores.close()
    trusted = bool(why) and not show
    if not as_json:
        report(f"the store {root} {why or 'is yours already'}", *_lines(found), *(_MEANING if why else ()))
    if trusted:
        trusting.trust(stores.layout)
    if as_json:
        show_json({"store": str(root), "foreign": why, "trusted": trusted, "holds": found})
    elif trusted:
        report("it is yours now")
    elif why:
        report("hint: `fairway trust` makes it yours")
    return EXIT_DONE


def _lines(found: trusting.Held) -> list[str]:
    parts = (
        ("project files", found.projects),
        ("models", found.models),
        ("of these, models that can run code", found.code),
        ("endpoints that would start", found.endpoints),
        ("of these, functions of a project", found.functions),
    )
    return [f"  {found.runs} runs", *(f"  {what}: {_some(names)}" for what, names in parts if names)]


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(legible(name) for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def owner(root: Path) -> Check:
    """Check who owns the store."""
    stores = machine.LocalStores(root)
    if not stores.layout.check():
        return Check("owner", "no store here yet")
    why = stores.metadata.why_foreign()
    stores.close()
    if why:
        return Check(
            "owner", f"the store {why}", False, "`fairway trust` shows what is in it and makes it yours"
        )
    odd = next(trusting.strangers(str(root)), "")
    if odd:
        return Check("owner", f"{odd} is a link, or not yours", False, f"`rm {odd}`, if you did not make it")
    return Check("owner", "you, on this machine")


def modes(root: Path, *, own: bool) -> Check:
    """Check that others cannot read or write the store. In the user's own store, fix the modes."""
    if not root.is_dir():
        return Check("modes", "no store here yet")
    if own:
        count = trusting.mend(str(root))
        return Check(
            "modes",
            f"fixed: others are kept out of {count} files and folders" if count else "only you can read it",
        )
    first = next(trusting.open_to_others(str(root)), "")
    return Check("modes", f"others can read {first}" if first else "only you can read it")
