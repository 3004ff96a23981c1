"""Names of runs, short and easy to type, and the choice of the pipeline that a name means."""

import os

from fairway.spec.errors import UsageError
from fairway.spec.project import ProjectSpec

_ALPHABETS = ("abcdefghjkmnpqrstuvwxyz", "23456789")


def new_name(taken: "set[str] | frozenset[str]" = frozenset()) -> str:
    """Draw a name such as "k7m2" that is not taken. It gets longer when short names run out."""
    places = 4
    for tries in range(1, 1 << 16):
        drawn = os.urandom(places)
        name = "".join(
            _ALPHABETS[place % 2][byte % len(_ALPHABETS[place % 2])] for place, byte in enumerate(drawn)
        )
        if name not in taken:
            return name
        if tries % 64 == 0:
            places += 2
    raise AssertionError("no free name")


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
