"""Facts of this machine for a command: about its own process, and about the words that name a project."""

from typing import NoReturn

from fairway.spec.errors import FairwayError


def find_project(word: str) -> tuple[str, str]:
    """Return file and module of the project that a path or module name means. Raises NotFound, UsageError."""
    from fairway.local import projects

    return projects.find(word)


def refuse_at_import(what: str) -> None:
    """Refuse to start processes of Fairway while a project is imported. Raises UsageError."""
    from fairway.local import descent

    descent.refuse_at_import(what)


def refuse_in_step(what: str) -> None:
    """Refuse to submit from a step anything that would outlive it. Raises UsageError."""
    from fairway.local import descent

    descent.refuse_in_step(what, hint="run it in the step, and wait for it: `fw.run(pipeline)`")


def explain(error: OSError) -> FairwayError:
    """Explain an error of the operating system to the user of a command."""
    from fairway.stores import faults

    return faults.explain(error, "carrying out this command", error.filename or ".")


def leave(status: int) -> NoReturn:
    """End this process now, without any cleanup by the interpreter."""
    from fairway.local.exiting import leave as end

    end(status)
