"""The target of a command: the option `--target`, and the platform that follows from it.

A command asks here for its platform and works on a target without knowing it.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from fairway.cli.asking import ask
from fairway.cli.story import report
from fairway.ports.platform import Platform
from fairway.spec.errors import FairwayError
from fairway.wiring import settings, target

if TYPE_CHECKING:
    from fairway.remote import RemotePlatform
    from fairway.wiring.targets import Target

F = TypeVar("F", bound="click.Command")
P = TypeVar("P", bound=Platform)

_CHOICE = "fairway.target"


def targeted(command: F) -> F:
    """Give a command the option `--target`."""
    option = click.Option(
        ["--target"],
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help="The target to work on, as `fairway targets` lists them; `local` is this machine.",
    )
    command.params.append(option)
    return command


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_CHOICE] = value


def typed() -> str:
    """Return the name of the target that the command line gives; empty without one."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_CHOICE, "") if context is not None else ""


def is_away() -> bool:
    """Tell whether commands work on a target other than this machine, known or not."""
    from fairway.wiring import targets

    try:
        return (typed() or targets.default()[0]) not in ("", targets.LOCAL)
    except FairwayError:
        return False


def chosen(folder: str = "") -> "Target | None":
    """Return the target of this command; None for this machine. Raises NotFound, UsageError.

    Args:
        folder: the folder from which the project is looked for. The default is the working directory.
    """
    from fairway.wiring import targets

    return targets.chosen(typed(), folder)


def away(folder: str = "") -> "RemotePlatform | None":
    """Return the platform of the target, or None if that is this machine. Raises FairwayError."""
    found = chosen(folder)
    if found is None:
        return None
    from fairway.wiring import targets

    return targets.platform(found, report)


def looking() -> Platform:
    """Return the platform for a command that only looks. Nothing of it has to be closed."""
    return away() or target.looking(settings.store_root(), report)


@contextmanager
def acting(tell: target.Tell = report) -> Generator[Platform, None, None]:
    """Open the platform for a command that changes something, and close it after the block. Raises FairwayError."""
    platform = away() or target.here(settings.store_root(), tell)
    try:
        yield platform
    finally:
        ask(platform.close())


@asynccontextmanager
async def closing(platform: P) -> AsyncGenerator[P, None]:
    """Close a platform after a block, on the event loop of the block: a connection belongs to the loop that opened it."""
    try:
        yield platform
    finally:
        await platform.close()
