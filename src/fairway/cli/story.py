"""The printing of all commands: data to standard output, everything else to standard error.

Printed texts may come from other people: names, errors, parameters, descriptions. Each text is printed as one line,
without anything that a terminal would carry out. A command goes on if its standard error cannot be written.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

import click

from fairway.spec.text import escaped, one_line


def show(*lines: str) -> None:
    """Print lines of data."""
    for line in lines:
        click.echo(one_line(line))


def show_if_heard(*lines: str) -> None:
    """Print lines of data for whoever listens. Nobody has to: the command goes on if standard output is closed."""
    try:
        show(*lines)
    except OSError:
        # What could not be written would be tried again at the end of the program, and fail it.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())


def show_block(text: str) -> None:
    """Print a text of our own layout with its line ends."""
    show(*text.split("\n"))


def show_json(value: object, *, indented: bool = True) -> None:
    """Print a value of the vocabulary as JSON. Characters that are not visible are escaped."""
    import msgspec  # imported here, because most commands print no JSON

    data = msgspec.json.encode(value, order="deterministic" if indented else None)
    click.echo(escaped((msgspec.json.format(data, indent=2) if indented else data).decode()))


def show_text(json: str) -> None:
    """Print a text of JSON. Characters that are not visible are escaped."""
    import msgspec  # imported here, because most commands print no JSON

    click.echo(escaped(msgspec.json.format(json, indent=2)))


def pour(path: Path) -> None:
    """Write the bytes of a file to standard output, which a person has led into a file or another program."""
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def show_script(text: str) -> None:
    """Print a script of ours unchanged, for a shell."""
    click.echo(text)


def report(*lines: str) -> None:
    """Print lines to standard error. Stop without an error when they cannot be written."""
    try:
        for line in lines:
            click.echo(one_line(line), err=True)
    except OSError:
        return


def report_block(text: str) -> None:
    """Print a text with its line ends, such as a traceback, to standard error."""
    report(*text.split("\n"))


def redraw(text: str) -> None:
    """Put a text in the place of the last line on a terminal, without ending the line. An empty text removes it."""
    click.echo(f"\r\x1b[2K{one_line(text)}", nl=False, err=True)


def agreed(question: str) -> None:
    """Ask a person for consent. Raises click.Abort without it."""
    click.confirm(one_line(question), abort=True, err=True)
