"""What a command tells a person, on standard error. Nobody need listen: what cannot be told ends no command."""

import click


def tell(*lines: str) -> None:
    """Print lines, as far as somebody takes them."""
    try:
        for line in lines:
            click.echo(line, err=True)
    except OSError:
        return
