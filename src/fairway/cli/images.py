"""Commands that make the images of a cluster."""

import asyncio
import sys
import time

import click

from fairway.cli.story import redraw, report, show, show_json
from fairway.cluster.images import assembling
from fairway.spec.errors import EXIT_DONE
from fairway.spec.quantities import format_duration, format_memory
from fairway.wiring.images import make_workshop

_REDRAW = 0.2


@click.group("image")
def image_command() -> None:
    """Make the image that Fairway runs from in a cluster, without Docker, and push it to a registry.

    \b
    Example:
      fairway image push ghcr.io/acme
    """


@image_command.command("push")
@click.argument("registry")
@click.option(
    "--base", default=assembling.DEFAULT_BASE, show_default=True, help="Image with Python to build on."
)
@click.option(
    "--python", default="", metavar="VERSION", help="Python of the base, if the base does not say it."
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    default=(assembling.DEFAULT_PLATFORM,),
    show_default=True,
    help="Platform of the nodes; repeat it for several.",
)
@click.option("--insecure", is_flag=True, help="Speak HTTP without TLS to the registry.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def push_command(
    registry: str, base: str, python: str, platforms: tuple[str, ...], insecure: bool, as_json: bool
) -> int:
    """Push the image of this version of Fairway to REGISTRY and print its name by digest.

    REGISTRY is a host or a part of one, such as ghcr.io/acme. Logins come from Docker's configuration. What the
    registry has already is not sent again, and the same version gives the same image to the bit.

    \b
    Example:
      fairway image push registry.example.com/team
    """
    begun = time.monotonic()
    order = assembling.Order(registry=registry, base=base, python=python, platforms=platforms, plain=insecure)
    counter = Counter()
    pushed = asyncio.run(assembling.push_fairway(order, make_workshop(counter.note, counter.count)))
    counter.clear()
    took = format_duration(time.monotonic() - begun)
    report(f"pushed {pushed.tag} with Python {pushed.python}: {format_memory(pushed.sent)} sent, {took}")
    if as_json:
        show_json(pushed)
    else:
        show(pushed.image)
    return EXIT_DONE


class Counter:
    """The printer of an upload's progress: lines, and on a terminal the bytes that were sent."""

    def __init__(self) -> None:
        self._sent = 0
        self._drawn = 0.0
        self._live = sys.stderr.isatty()
        self._shown = False

    def note(self, line: str) -> None:
        """Print a line of progress."""
        self.clear()
        report(f"  {line}")

    def count(self, size: int) -> None:
        """Add bytes that were sent, and draw the sum on a terminal."""
        self._sent += size
        now = time.monotonic()
        if self._live and now - self._drawn > _REDRAW:
            self._drawn = now
            self._shown = True
            redraw(f"  {format_memory(self._sent)} sent")

    def clear(self) -> None:
        """Remove the drawn sum."""
        if self._shown:
            self._shown = False
            redraw("")
