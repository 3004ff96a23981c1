"""The target of a command: the option `--target`, and the platform that follows from it.

A command asks here for its platform and works on a target without knowing it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from fairway.cli.story import report
from fairway.ports.platform import Platform
from fairway.wiring import settings, target

if TYPE_CHECKING:
    from fairway.wiring.targets import Target

F = TypeVar("F", bound="click.decorators.FC")

_CHOICE = "fairway.target"


def targeted(command: "click.decorators.FC") -> "click.decorators.FC":
    """Give a command the option `--target`."""
    return click.option(
        "--target",
        "target",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help="The target to work on, as in `fairway targets`; `local` is this machine.",
    )(command)


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_CHOICE] = value


def typed() -> str:
    """Return the name of the target that the command line gives; empty without one."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_CHOICE, "") if context is not None else ""


def chosen(folder: str = "") -> "Target | None":
    """Return the target of this command; None for this machine. Raises NotFound, UsageError.

    Args:
        folder: the folder from which the project is looked for. The default is the working directory.
    """
    from fairway.wiring import targets

    return targets.chosen(typed(), folder)


def elsewhere(folder: str = "") -> Platform | None:
    """Return the platform of the target, if that is not this machine. Raises FairwayError."""
    found = chosen(folder)
    if found is None:
        return None
    from fairway.wiring import targets

    return targets.platform(found, report)


def looking() -> Platform:
    """Return the platform for a command that only looks."""
    return elsewhere() or target.looking(settings.store_root(), report)


def acting(tell: target.Tell = report) -> Platform:
    """Return the platform for a command that changes something."""
    return elsewhere() or target.here(settings.store_root(), tell)


def from_here(command: str, root: Path | None) -> str:
    """Return a command as it must be typed here: with the target that was typed, or in the folder of another store.

    Args:
        root: folder of the store; None on a target.
    """
    if root is None:
        return f"{command} --target {typed()}" if typed() else command
    if root == settings.store_root():
        return f"{command} --target {typed()}" if typed() and not _is_default() else command
    import shlex

    here, folder = Path.cwd(), root.parent
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return f"cd {shlex.quote(str(shown))} && {command}"


def _is_default() -> bool:
    """Tell whether commands without `--target` work on this machine."""
    from fairway.wiring import targets

    return targets.default()[0] in ("", targets.LOCAL)
