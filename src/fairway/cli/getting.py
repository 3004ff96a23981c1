"""The command `get`: a value, file or folder of a run, brought to where a person wants it or printed."""

from pathlib import Path
from typing import cast

import click

from fairway.cli import looking
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.placing import OWN, place_of
from fairway.cli.story import report, show_text
from fairway.cli.targeting import targeted
from fairway.engine import addresses, bringing
from fairway.engine.addresses import Addressed
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact
from fairway.spec.errors import EXIT_DONE


@targeted
@click.command("get")
@click.argument("value", cls=Argument, completes="run_or_step")
@click.option(
    "--output", "-o", metavar="PATH", default="",
    help="Write it to this file or folder, in the format of the name's end; `-` is standard output.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Compare files over 256 MiB with their digests too.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def get_command(value: str, output: str, check: bool, as_json: bool) -> int:
    """Print a value of a run, or write it to a file in an open format.

    VALUE is RUN for what the pipeline returned, RUN/STEP for what a step returned, or RUN/STEP/NAME for one of its inputs, one of
    several outputs by number, or a picture by its title. The word `pipeline` stands for the pipeline's own function.

    A table becomes Parquet, CSV, JSON or Arrow, an array npy, CSV, JSON or PNG, plain data JSON; a file or folder stays as it is.
    Models and pickles are copied and never opened.

    \b
    Example:
      fairway get k7m2/prepare -o prepared.csv
    """
    platform = looking.opened()
    run, _, path = value.partition("/")
    found = addresses.find(ask(platform.run(ask(platform.find(run)))), path)
    if _is_as_it_is(found) and output not in ("", "-") and not as_json:
        report(f"written to {_bring(platform, found, Path(output), check=check)}")
        return EXIT_DONE
    # A file or folder is brought without the modules that convert and draw, because they take as long as 100 MB do.
    from fairway.cli import converting

    if as_json:
        show_text(converting.as_json(platform, found.node))
    elif output == "-":
        converting.write_out(platform, found)
    elif output:
        written = converting.write(platform, found, Path(output), check=check)
        report(*(f"written to {one}" for one in written))
    else:
        converting.print_value(platform, found, value)
    return EXIT_DONE


def _is_as_it_is(found: Addressed) -> bool:
    """Tell whether a value is a file or folder that is written as it is."""
    return isinstance(found.node, Artifact) and found.node.format in OWN and not found.is_shown


def _bring(platform: Platform, found: Addressed, target: Path, *, check: bool) -> Path:
    """Write a file or folder as it is. Return its path."""
    artifact = cast("Artifact", found.node)
    place = place_of(artifact, found.name, target)
    place.parent.mkdir(parents=True, exist_ok=True)
    with bringing.written(place) as part:
        ask(bringing.bring(platform, artifact, part, check=check))
    return place
