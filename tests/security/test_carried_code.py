"""Source files that travel with a model run only when this project's own run registered them with that very content."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from projects import Project

from fairway.engine.revisions import Revisions
from fairway.formats import carried
from fairway.server.models import ModelService
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import FairwayError
from fairway.spec.event import Event, ModelRegistered
from fairway.spec.model import ModelVersion
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata
from fairway.wiring.machine import SystemClock

OWN = """
class Own:
    def __init__(self, shift):
        self.shift = shift
    def predict(self, data):
        return [row[0] + self.shift for row in data]

@fw.task
def train(shift: float) -> Own:
    return Own(shift)

@fw.task
def fetch(folder: str) -> fw.Folder:
    return fw.Folder(folder)

@fw.pipeline
def own(folder: str, code: str = ""):
    fetched = fetch(folder)
    version = fw.register("own", train(1.0), sample=[[1.0], [2.0]])
    fw.value(fetched)
    return version

@fw.task
def looks_up(name: str) -> float:
    return fw.value(fw.model(name)).predict([[2.0]])[0]

@fw.pipeline
def asks(name: str):
    return looks_up(name)
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> "Planted":
    """Made once for the tests of this file."""
    return Planted(tmp_path_factory.mktemp("planted"))


class Planted:
    """A project whose run registered a model and fetched a folder with code that nobody should run."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        self.marker = folder / "marker"
        hostile = folder / "hostile"
        hostile.mkdir()
        text = (
            f"open({str(self.marker)!r}, 'w').close()\nclass Own:\n    def predict(self, data): return data\n"
        )
        (hostile / "project.py").write_text(text)
        self.project.write(OWN)
        self.root = folder / ".fairway"
        Layout(self.root).prepare()
        self.store = FileArtifacts(self.root)
        self.code = self.store.put_folder(hostile)[0]
        self.project.fairway("run", "project.py:own", "--folder", str(hostile), "--code", self.code)
        self.metadata = SqliteMetadata(Layout(self.root))
        self.real = self.metadata.resolve("own")

    def forged(self, sources: str, **lineage: object) -> ModelVersion:
        """A version with the content of the real one, and other source files."""
        artifact = msgspec.structs.replace(self.real.candidate.artifact, code=sources)
        candidate = msgspec.structs.replace(self.real.candidate, name="forged", artifact=artifact)
        made_by = msgspec.structs.replace(self.real.lineage, **lineage)
        return ModelVersion(name="forged", version=1, candidate=candidate, lineage=made_by)

    def serve(self, version: ModelVersion) -> ModelService:
        """Load the version as a worker does that a platform starts, from a revision that claims too much."""
        metrics = SimpleNamespace(batch=lambda *_: None, depth=0)
        revision = RevisionSpec(endpoint="toy", number=1, model=version, trusted=True)
        decided = Revisions(self.metadata, self.store, SystemClock()).decided(revision)
        return ModelService(decided, self.store, metrics)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker keeps the modules of its model; this process must not."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(carried, "_staying", set[str]())
    monkeypatch.setattr(carried, "_bundles", dict[str, carried.Bundle]())
    yield
    sys.modules.pop("project", None)


@pytest.mark.parametrize(
    "lineage", [{}, {"step": "fetch"}, {"step": ""}, {"parameters": {"code": ""}}, {"run": ""}]
)
def test_a_server_refuses_source_files_that_the_run_did_not_register_with_the_model(
    planted: Planted, lineage: dict[str, object]
) -> None:
    if "parameters" in lineage:
        lineage = {"parameters": {"code": planted.code}, "code": planted.code}
    with pytest.raises(FairwayError, match="its origin is not trusted"):
        planted.serve(planted.forged(planted.code, **lineage))
    assert not planted.marker.exists()


def test_a_step_refuses_them_as_well(planted: Planted) -> None:
    planted.metadata.append(
        [
            Event(
                body=ModelRegistered(planted.forged(planted.code, step="fetch")), run=planted.real.lineage.run
            )
        ]
    )
    done = planted.project.fairway("run", "project.py:asks", "--name", "forged", expect=1)
    assert "made by no run of this project" in done.stdout + done.stderr
    assert not planted.marker.exists()


def test_the_registered_source_files_run_and_the_planted_ones_could_have(planted: Planted) -> None:
    assert planted.real.candidate.artifact.code
    assert planted.serve(planted.real).samples == "2/2"
    planted.project.fairway("run", "project.py:asks", "--name", "own")
    text = (planted.project.folder / "hostile" / "project.py").read_text()
    subprocess.run([sys.executable, "-c", text], check=True)
    assert planted.marker.exists()
    planted.marker.unlink()


def test_source_files_that_were_changed_in_the_store_are_refused(planted: Planted) -> None:
    (path,) = (planted.root / "blobs").glob(f"*/{planted.real.candidate.sources[0].digest}")
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content.replace(b"return [row", b"raise (row "))
    (planted.project.folder / "project.py").write_text("import fairway as fw\n" + OWN + "\n# changed\n")
    done = planted.project.fairway("run", "project.py:asks", "--name", "own", expect=1)
    assert "digest" in done.stdout + done.stderr
