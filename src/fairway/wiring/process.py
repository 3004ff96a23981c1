"""What a command must know of its own process and of the words that name a project, which is a matter of this machine."""

from typing import NoReturn

from fairway.spec.errors import FairwayError


def find_project(word: str) -> tuple[str, str]:
    """Return file and module of the project that a path or a module's name means. Raises NotFound, UsageError."""
    from fairway.local import projects

    return projects.find(word)


def refuse_at_import(what: str) -> None:
    """Refuse what starts processes of ours while a project is imported. Raises UsageError."""
    from fairway.local import descent

    descent.refuse_at_import(what)


def refuse_in_step(what: str) -> None:
    """Refuse in a step to submit what would outlive it. Raises UsageError."""
    from fairway.local import descent

    descent.refuse_in_step(what, hint="run it in the step, and wait for it: `fw.run(pipeline)`")


def explain(error: OSError) -> FairwayError:
    """Say what an error of the operating system means to somebody who used a command."""
    from fairway.stores import faults

    return faults.explain(error, "carrying out this command", error.filename or ".")


def leave(status: int) -> NoReturn:
    """End this process now, without taking it apart."""
    from fairway.local.exiting import leave as end

    end(status)
