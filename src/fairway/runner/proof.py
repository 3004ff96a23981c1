"""The proof that a packaged model can be served: a fresh process without the project loads it and reproduces its samples.

That process is `python -m fairway.runner.proof FOLDER PARENT`. Like a server, it has the store and nothing else, and it loads
the model in the way a server does.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what the imports below and the loading of the model make stays

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fairway import formats
from fairway.local.descent import MARK
from fairway.runner import lifeline
from fairway.spec.artifact import Artifact
from fairway.spec.errors import FairwayError
from fairway.spec.host import StorePlace
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.stores.opening import open_store

if TYPE_CHECKING:
    from fairway.ports import ArtifactStore

_SECONDS = 900.0
_ORDER, _ANSWER, _PRINTED = "order.json", "answer.json", "printed"


class Order(msgspec.Struct, frozen=True):
    """The candidate to try, and the address of the store that holds its content."""

    candidate: Candidate
    store: str


class Proof(msgspec.Struct, frozen=True):
    """The outcome: the reason why the model cannot be served, or an empty text if it can."""

    problem: str = ""


def prove(candidate: Candidate, store: StorePlace, without: Iterable[Path] = ()) -> Proof:
    """Let a fresh process load the candidate and reproduce its samples.

    Args:
        candidate: the packaged model.
        store: the place of the store that holds its content.
        without: the folders of the project, which are removed from `PYTHONPATH`.
    """
    import subprocess
    import tempfile

    hidden = {path.resolve() for path in without}
    with tempfile.TemporaryDirectory(prefix="fairway-") as name:
        folder = Path(name)
        (folder / _ORDER).write_bytes(msgspec.json.encode(Order(candidate, store.address)))
        with open(folder / _PRINTED, "wb") as printed:
            try:
                status = subprocess.run(
                    [sys.executable, "-P", "-m", "fairway.runner.proof", name, str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    env=_environment(hidden),
                    cwd=name,
                    timeout=_SECONDS,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                return Proof(f"it took more than {_SECONDS:.0f} seconds")
        try:
            return msgspec.json.decode((folder / _ANSWER).read_bytes(), type=Proof)
        except (OSError, msgspec.DecodeError):
            lines = (folder / _PRINTED).read_text(errors="replace").strip().splitlines()
            return Proof(
                f"the process ended with status {status}" + (f": {lines[-1][:300]}" if lines else "")
            )


def _environment(hidden: set[Path]) -> dict[str, str]:
    """Return the environment variables that a server gets, without any path to the project."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_") or name == MARK
    }
    paths = [path for path in kept.pop("PYTHONPATH", "").split(os.pathsep) if path]
    if paths := [path for path in paths if Path(path).resolve() not in hidden]:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return kept


def examine(order: Order) -> Proof:
    """Load the candidate as a server does, and compare its answers with the samples."""
    store = open_store(StorePlace(order.store)).artifacts
    version = ModelVersion(
        name=order.candidate.name, version=0, candidate=order.candidate, lineage=Lineage(run="", step="")
    )
    try:
        predictor = formats.load_predictor(version, store.open, trusted=lambda: True)
        if order.candidate.samples is None:
            return Proof()
        inputs, expected = formats.decode_samples(_content(store, order.candidate.samples))
        parity = formats.check_parity(predictor, inputs, expected)
    except FairwayError as error:
        return Proof(error.message)
    except Exception as error:
        return Proof(f"{type(error).__name__}: {error}")
    if parity.ok:
        return Proof()
    return Proof(f"it reproduced {parity.reproduced} of {parity.rows} samples: {parity.note}")


def _content(store: "ArtifactStore", artifact: Artifact) -> bytes:
    content = store.open(artifact)
    return content if isinstance(content, bytes) else content.read_bytes()


def main(folder: Path, parent: int) -> None:
    """Read the order in a folder, carry it out and write the answer there. `parent` is the process that waits for it."""
    if sys.platform.startswith("linux"):
        lifeline.die_with_parent(signal.SIGKILL, parent)
    order = msgspec.json.decode((folder / _ORDER).read_bytes(), type=Order)
    (folder / _ANSWER).write_bytes(msgspec.json.encode(examine(order)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
