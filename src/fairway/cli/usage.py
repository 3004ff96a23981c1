"""The command that says what takes the room in a store."""

import click

from fairway.cli import targeting
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.views import table
from fairway.spec.errors import EXIT_DONE, UsageError
from fairway.spec.quantities import format_memory
from fairway.wiring import settings, usage


@targeted
@click.command("du")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def du_command(as_json: bool) -> int:
    """Say what takes the room in the store, and which runs and models need most of it.

    \b
    Example:
      fairway du
    """
    if targeting.is_away():
        raise UsageError(
            "the room of a target's store is not measured",
            hint="`fairway gc --target NAME` says what could go",
        )
    root = settings.store_root()
    found = usage.usage(root)
    if as_json:
        show_json(found)
        return EXIT_DONE
    rows = [(format_memory(one.size), one.name) for one in found.parts]
    show(*table(("size", f"in {root}"), [*rows, (format_memory(found.total), "in all")]))
    if found.largest:
        show(
            "", *table(("size", "needed by"), [(format_memory(one.size), one.name) for one in found.largest])
        )
        report(
            "hint: `fairway rm NAME` says what a removal frees, and `fairway gc` what nothing needs any more"
        )
    return EXIT_DONE
