"""Commands that set up a project or a shell."""

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from fairway import templates
from fairway.cli.story import report, show_json, show_script
from fairway.cli.writing import write_anew
from fairway.spec.errors import EXIT_DONE, UsageError


@click.command("init")
@click.option(
    "--template",
    type=click.Choice(list(templates.TEMPLATES)),
    default="supervised",
    show_default=True,
    help="What to start from.",
)
@click.option("--force", is_flag=True, help="Write over files that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def init_command(template: str, force: bool, as_json: bool) -> int:
    """Write a project file to start from into this folder.

    \b
    Example:
      fairway init --template reinforcement
    """
    name, needs = templates.TEMPLATES[template]
    target = Path(name)
    if target.is_symlink():
        raise UsageError(
            f"{name} is a link to {os.readlink(name)!r}, and init writes to no file through a link",
            hint=f"remove the link: `rm {name}`",
        )
    if target.exists() and not force:
        raise UsageError(f"{name} exists already", hint="`fairway init --force` writes over it")
    write_anew(target, templates.read(template))
    if as_json:
        show_json({"template": template, "file": name}, indented=False)
        return EXIT_DONE
    report(f"{name} written")
    if needs:
        report(f"it needs: pip install {needs}")
    report(f"hint: `fairway run {name}`")
    return EXIT_DONE


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> int:
    """Print the completion script for SHELL.

    In bash and zsh, put the example into ~/.bashrc or ~/.zshrc; in fish: `fairway completion fish | source`.

    \b
    Example:
      eval "$(fairway completion bash)"
    """
    from fairway.cli import completing
    from fairway.cli.main import cli

    completing.install()
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    show_script(kind(cli, {}, "fairway", "_FAIRWAY_COMPLETE").source())
    return EXIT_DONE
