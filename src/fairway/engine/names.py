"""Names of runs, short and easy to type, and the choice of the pipeline that a name means."""

import os
import re
from collections.abc import Callable
from typing import Protocol

from fairway.spec.errors import NotFound, UsageError
from fairway.spec.project import ProjectSpec

_ALPHABETS = ("abcdefghjkmnpqrstuvwxyz", "23456789")
_NAMED = 5
"""The runs that an error names if a prefix fits several."""


class RunNames(Protocol):
    """The names of the runs on record."""

    def run_names(self, prefix: str = "", most: int = 0) -> list[str]:
        """Return the names of runs that start with `prefix`; with `most`, of the first so many by name."""
        ...


def new_name(is_taken: Callable[[str], bool]) -> str:
    """Draw a name such as "k7m2" that is not taken. It gets longer when short names run out."""
    places = 4
    for tries in range(1, 1 << 16):
        drawn = os.urandom(places)
        name = "".join(
            _ALPHABETS[place % 2][byte % len(_ALPHABETS[place % 2])] for place, byte in enumerate(drawn)
        )
        if not is_taken(name):
            return name
        if tries % 64 == 0:
            places += 2
    raise AssertionError("no free name")


def is_known(metadata: RunNames, name: str) -> bool:
    """Tell whether there is a run of exactly this name. Only names near it are read, as a store may have a million."""
    return name in metadata.run_names(name, 1)


def find_run(metadata: RunNames, prefix: str) -> str:
    """Return the run whose name starts with a prefix.

    Raises:
        NotFound: there is no such run.
        UsageError: several runs have such a name.
    """
    # A short prefix fits many of perhaps a million runs.
    names = metadata.run_names(prefix, _NAMED + 1) if prefix else []
    if prefix in names:
        return prefix
    if not names:
        raise NotFound(f"there is no run {prefix!r}", hint="`fairway runs` lists them")
    if len(names) > 1:
        count = len(names) if len(names) <= _NAMED else f"more than {_NAMED}"
        raise UsageError(f"{prefix!r} fits {count} runs: {', '.join(names[:_NAMED])}")
    return names[0]


def check_name(name: str) -> str:
    """Return a name that somebody wants for a run. Raises UsageError if it is none."""
    if re.fullmatch("[a-z0-9]{4,32}", name) is None:
        raise UsageError(f"{name[:80]!r} is no name of a run", hint="4 to 32 small letters and digits")
    return name


def choose_pipeline(project: ProjectSpec, wanted: str) -> str:
    """Choose the name of the pipeline to run. Raises UsageError when it is not clear which."""
    names = [pipeline.name for pipeline in project.pipelines]
    inside = project.path.startswith(f"{os.getcwd()}/")
    file = os.path.relpath(project.path) if inside else project.path or project.name
    if wanted:
        if wanted not in names:
            raise UsageError(
                f"{file} has no pipeline {wanted!r}", hint=f"it has {', '.join(names) or 'none'}"
            )
        return wanted
    if not names:
        raise UsageError(
            f"{project.path} declares no pipeline",
            hint="put `@fw.pipeline` above a function that calls tasks",
        )
    if len(names) > 1:
        raise UsageError(
            f"{file} has {len(names)} pipelines: {', '.join(names)}",
            hint=f"choose one: `fairway run {file}:{names[0]}`",
        )
    return names[0]
