"""All that a command prints goes through here: data to standard output, the story to standard error.

What is printed may hold texts of other people: names, errors, parameters, descriptions. Each text given is one line, in
which nothing is left that a terminal would carry out. Nobody need listen: what cannot be told ends no command.
"""

import click

from fairway.spec.text import escaped, one_line


def show(*lines: str) -> None:
    """Print lines of data."""
    for line in lines:
        click.echo(one_line(line))


def show_block(text: str) -> None:
    """Print a text of our own layout, whose line ends are meant."""
    show(*text.split("\n"))


def show_json(value: object, *, indented: bool = True) -> None:
    """Print any value of the vocabulary as JSON, in which what is not visible is escaped."""
    import msgspec  # what prints no JSON does without it

    data = msgspec.json.encode(value, order="deterministic" if indented else None)
    click.echo(escaped((msgspec.json.format(data, indent=2) if indented else data).decode()))


def show_script(text: str) -> None:
    """Print a script of ours as it is, for a shell to read."""
    click.echo(text)


def tell(*lines: str) -> None:
    """Print lines of the story, as far as somebody takes them."""
    try:
        for line in lines:
            click.echo(one_line(line), err=True)
    except OSError:
        return


def tell_block(text: str) -> None:
    """Print a text whose line ends are meant, such as a traceback."""
    tell(*text.split("\n"))
