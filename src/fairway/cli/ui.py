"""The command that opens the pages of a platform in the browser."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from fairway.cli import targeting
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.spec.errors import EXIT_DONE
from fairway.wiring import settings, target

if TYPE_CHECKING:
    from fairway.wiring.targets import Target

_CONSOLE = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


@targeted
@click.command("ui")
@click.option(
    "--no-browser", is_flag=True, help="Only print the address, which is good once and for five minutes."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, and open nothing.")
def ui_command(no_browser: bool, as_json: bool) -> int:
    """Open the page of this project in the browser, and start the platform if it does not run.

    On a target, the page is served on this machine as long as the command runs, with the rights that you have there.

    \b
    Example:
      fairway ui
    """
    there = targeting.chosen()
    opens = not (no_browser or as_json)
    if there is not None:
        return _away(there, opens=opens, as_json=as_json)
    root = settings.store_root()
    platform = target.apart(root, report)
    code = asyncio.run(platform.people.code())
    _offer(f"{platform.place}/enter?code={code}", opens=opens, as_json=as_json)
    return EXIT_DONE


def _away(there: "Target", *, opens: bool, as_json: bool) -> int:
    """Serve the pages of a target until Ctrl-C. Raises FairwayError."""
    from fairway.control import away
    from fairway.wiring import targets

    def offer(address: str) -> None:
        _offer(address, opens=opens, as_json=as_json)
        report(f"the page of {there.name} is served until Ctrl-C")

    asyncio.run(away.serve(targets.platform(there, report), offer))
    return EXIT_DONE


def _offer(address: str, *, opens: bool, as_json: bool) -> None:
    """Open an address in the browser, or print it."""
    if as_json:
        show_json({"url": address})
        return
    if opens and _opened(address):
        report("the page is open in your browser")
        return
    if opens:
        report("there is no browser here; open this address, which is good once and for five minutes")
    show(address)


def _opened(address: str) -> bool:
    """Open an address in a browser with windows. Return False if there is none, as over SSH."""
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in _CONSOLE):
        # Else a browser for terminals would take this terminal over.
        return False
    import webbrowser

    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
