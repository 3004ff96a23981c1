"""The common part of commands that only look: the platform to ask, and values to show.

Nothing here runs content of a store, even if the store is the user's own.
"""

from pathlib import Path

from fairway.cli import targeting
from fairway.cli.asking import ask
from fairway.cli.story import report
from fairway.cli.writing import write_anew
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.errors import FairwayError, NotFound
from fairway.spec.evaluation import Evaluation
from fairway.spec.run import RunStatus, StepStatus
from fairway.wiring import settings, target


def opened(root: Path | None = None) -> Platform:
    """Return the platform of the target or of a store, for looking only.

    Print a line when the store is not the user's own.
    """
    return targeting.looking() if root is None else target.looking(root, report)


def endpoints() -> list[EndpointStatus]:
    """Return every endpoint of the target, or of this machine, as wanted and as observed. Nothing is started."""
    import asyncio  # imported here, because most commands that look wait for nobody

    there = targeting.away()
    root = settings.store_root()
    if there is None and not target.is_up(root):
        return asyncio.run(target.looking(root, report).endpoints())
    return asyncio.run((there or target.here(root)).endpoints())


def named(name: str, found: list[EndpointStatus]) -> EndpointStatus:
    """Return the endpoint of a name. Raises NotFound."""
    for status in found:
        if status.name == name:
            return status
    known = ", ".join(status.name for status in found)
    raise NotFound(
        f"there is no endpoint {name[:80]!r}",
        hint=f"there are {known}" if known else "`fairway deploy MODEL` serves one",
    )


def is_endpoint(platform: Platform, word: str) -> bool:
    """Tell whether a word is the name of an endpoint on record, also of one that was removed."""
    return bool(word) and word in {status.name for status in ask(platform.deployed())}


def step_of(status: RunStatus, name: str) -> StepStatus:
    """Return a step of a run. Raises NotFound."""
    for step in status.steps:
        if step.spec.name == name:
            return step
    raise NotFound(
        f"run {status.spec.name} has no step {name!r}", hint=f"`fairway show {status.spec.name}` lists them"
    )


def evaluations_of(platform: Platform, status: RunStatus) -> dict[str, Evaluation | str]:
    """Return the evaluations that steps of a run returned, by step. If one is not plain data, return why instead."""
    found: dict[str, Evaluation | str] = {}
    for step in status.steps:
        for output in step.outputs:
            if output.kind.endswith("Evaluation"):
                try:
                    value = _value(platform, output)
                except FairwayError as error:
                    value = error.message
                if isinstance(value, Evaluation | str):
                    found[step.spec.name] = value
    return found


def save_shown(platform: Platform, status: RunStatus, folder: str) -> tuple[int, list[str]]:
    """Write pictures and tables of a run to a folder. Return the number of files, and a line for each failure."""
    from fairway.engine.pictures import rendered  # imported here, because it loads all that draws

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    shown = [("pipeline", status.shown), *((step.spec.name, step.shown) for step in status.steps)]
    pictures = [(f"{name}-{title}", artifact) for name, some in shown for title, artifact in some.items()]
    count, left = 0, list[str]()
    for name, artifact in pictures:
        try:
            suffix, text = rendered(artifact, _value(platform, artifact))
        except FairwayError as error:
            left.append(f"{name}: {error.message}")
            continue
        safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
        write_anew(place / f"{safe}.{suffix}", text)
        count += 1
    return count, left


def _value(platform: Platform, artifact: Artifact) -> object:
    """Read the value of an artifact to show it. It must be plain data, whoever made it. Raises FairwayError."""
    from fairway.formats import look  # imported here, because most commands show no values

    return look(artifact.format, ask(platform.read(artifact)), artifact.kind)
