"""What commands that only look have in common: the store, said to be somebody else's where it is, and values for showing.

Nothing here runs what a store holds, also where the store is this user's own.
"""

from pathlib import Path

from fairway.cli.story import tell
from fairway.engine.pictures import rendered
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import Evaluation
from fairway.spec.run import RunStatus
from fairway.wiring import machine, settings


def opened(root: Path | None = None) -> machine.LocalStores:
    """The store of this place, for looking. Says in one line when it is not this user's own."""
    stores = machine.LocalStores(root or settings.store_root())
    why = stores.metadata.why_foreign()
    if why:
        stores.only_look()
        stores.metadata.check_kinds()
        tell(
            f"note: the store {stores.root} {why}; it is only looked at",
            "hint: `fairway trust` shows what is in it",
        )
    return stores


def evaluations_of(stores: machine.LocalStores, status: RunStatus) -> dict[str, Evaluation | str]:
    """Evaluations that steps of a run returned, by step; why one is not shown in place of one that is not plain data."""
    found: dict[str, Evaluation | str] = {}
    for step in status.steps:
        for output in step.outputs:
            if output.kind.endswith("Evaluation"):
                try:
                    value = stores.look(output)
                except FairwayError as error:
                    value = error.message
                if isinstance(value, Evaluation | str):
                    found[step.spec.name] = value
    return found


def save_shown(stores: machine.LocalStores, status: RunStatus, folder: str) -> tuple[int, list[str]]:
    """Write pictures and tables of a run to a folder; returns how many files, and what was not written and why."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    shown = [("pipeline", status.shown), *((step.spec.name, step.shown) for step in status.steps)]
    pictures = [(f"{name}-{title}", artifact) for name, some in shown for title, artifact in some.items()]
    count, left = 0, list[str]()
    for name, artifact in pictures:
        try:
            suffix, text = rendered(artifact, stores.look(artifact))
        except FairwayError as error:
            left.append(f"{name}: {error.message}")
            continue
        safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
        (target / f"{safe}.{suffix}").write_text(text, encoding="utf-8")
        count += 1
    return count, left
