"""What commands that only look have in common: the platform to ask, and values for showing.

Nothing here runs what a store holds, also where the store is this user's own.
"""

from pathlib import Path

from fairway.cli.asking import ask
from fairway.cli.story import tell
from fairway.engine.pictures import rendered
from fairway.formats import look
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import Evaluation
from fairway.spec.run import RunStatus
from fairway.wiring import settings, target


def opened(root: Path | None = None) -> Platform:
    """Return the platform of this place, for looking. Says in one line when the store is not this user's own."""
    return target.looking(root or settings.store_root(), tell)


def evaluations_of(platform: Platform, status: RunStatus) -> dict[str, Evaluation | str]:
    """Evaluations that steps of a run returned, by step; why one is not shown in place of one that is not plain data."""
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
    """Write pictures and tables of a run to a folder; returns how many files, and what was not written and why."""
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
        (place / f"{safe}.{suffix}").write_text(text, encoding="utf-8")
        count += 1
    return count, left


def _value(platform: Platform, artifact: Artifact) -> object:
    """The value of an artifact for showing it: plain data only, whoever made it. Raises FairwayError."""
    return look(artifact.format, ask(platform.read(artifact)), artifact.kind)
