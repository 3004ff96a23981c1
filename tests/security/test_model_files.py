"""Model files are never code: hostile ones are refused before anything in them runs, and honest ones are read."""

import gc
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import hostile
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from projects import Project
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fairway import formats
from fairway.engine.revisions import Revisions
from fairway.server.models import ModelService
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import FairwayError
from fairway.spec.event import Event, ModelRegistered
from fairway.spec.model import Candidate, Lineage, ModelVersion, Signature, TensorSpec
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata
from fairway.wiring.machine import SystemClock

SIGNATURE = Signature(
    layout="tensor",
    inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 4)),),
    outputs=(TensorSpec(name="prediction", datatype="INT64", shape=(-1,)),),
)
MODULE = "class Own:\n    def __init__(self, shift):\n        self.shift = shift\n    def predict(self, data):\n" \
    "        return [row[0] + self.shift for row in data]\n"  # fmt: skip


class Place:
    """A store with versions planted in it."""

    def __init__(self, root: Path) -> None:
        Layout(root).prepare()
        self.root = root
        self.store = FileArtifacts(root)
        self.metadata = SqliteMetadata(Layout(root))

    def version(self, form: str, content: bytes, kind: str = "") -> ModelVersion:
        digest = self.store.put_bytes(content)
        artifact = Artifact(format=form, digest=digest, size=len(content), kind=kind)
        candidate = Candidate(name="planted", artifact=artifact, signature=SIGNATURE)
        return ModelVersion(
            name="planted", version=1, candidate=candidate, lineage=Lineage(run="r1", step="register")
        )

    def serve(self, version: ModelVersion) -> ModelService:
        """Load the version as a worker does that a platform starts, from a revision that claims too much."""
        metrics = SimpleNamespace(batch=lambda *_: None, depth=0)
        revision = RevisionSpec(endpoint="toy", number=1, model=version, trusted=True)
        decided = Revisions(self.metadata, self.store, SystemClock()).decided(revision)
        return ModelService(decided, self.store, metrics)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "store")


def refused(call: Callable[[], object]) -> str:
    """What was said; anything but a refusal in words fails the test."""
    with pytest.raises(FairwayError) as error:
        call()
    return error.value.message


def refused_everywhere(place: Place, form: str, content: bytes) -> None:
    """Given to the codec, in a file, in a container, to the predictor and to the server."""
    refused(lambda: formats.decode(form, content, "x", allow_pickle=False))
    path = place.root / "content"
    path.write_bytes(content)
    refused(lambda: formats.decode(form, path, "x", allow_pickle=False))
    version = place.version(form, content)
    refused(lambda: formats.load_predictor(version, place.store.open))
    refused(lambda: place.serve(version))


def test_each_pickle_is_live(tmp_path: Path) -> None:
    for name, content in hostile.pickles(tmp_path / "marker").items():
        (tmp_path / "content").write_bytes(content)
        code = "import sys, pickle, numpy; pickle.loads(open(sys.argv[1], 'rb').read())"
        if pid := os.fork():
            os.waitpid(pid, 0)
        else:
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            os.execv(sys.executable, [sys.executable, "-c", code, str(tmp_path / "content")])
        assert (tmp_path / "marker").exists(), name
        (tmp_path / "marker").unlink()


def test_pickles_are_refused_before_anything_runs(place: Place, tmp_path: Path, measured) -> None:
    marker = tmp_path / "marker"
    plain, wrapped = hostile.pickles(marker), hostile.wrapped(marker)
    for content in plain.values():
        refused_everywhere(place, "pickle", content)
    for form, content in wrapped.values():
        refused_everywhere(place, form, content)
    ran = marker.exists()
    assert not ran
    measured("T31-pickles", "Pickles with code in them, and wrapped in other formats, given to codecs, predictors and the server",
             goal="all refused before any load", pickles=len(plain), wrapped=len(wrapped), ran=int(ran))  # fmt: skip


def test_archives_are_refused_within_bounds(place: Place, measured) -> None:
    made = hostile.archives()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, content in made.items():
        said = refused(lambda content=content: formats.decode("skops", content, "x", allow_pickle=True))
        refused(lambda content=content: place.serve(place.version("skops", content)))
        assert said, name
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024, f"{grown} KiB"
    measured("T31-archives", "Archives with links, ways out, bombs and lies, as models", goal="all refused, ≤ 100 MB more",
             archives=len(made), grown_mb=round(grown / 1024))  # fmt: skip


def onnx_model(location: str = "") -> onnx.ModelProto:
    """A sum with weights of its own, or in another file."""
    weights = numpy_helper.from_array(np.ones(4, dtype=np.float64), "w")
    if location:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = "location", location
    values = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows", 4])
        for name in ("input", "prediction")
    ]
    graph = helper.make_graph([helper.make_node("Add", ["input", "w"], ["prediction"])], "g", [values[0]], [values[1]],
                              [weights])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_onnx_models_reach_no_other_file(place: Place, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(4).tobytes())
    (tmp_path / "link").symlink_to(secret)
    os.link(secret, tmp_path / "hard")
    for location in (
        "../secret",
        "../../secret",
        str(secret),
        "link",
        "hard",
        "a/../../secret",
        "/dev/zero",
        "\0",
    ):
        said = refused(
            lambda at=location: place.serve(place.version("onnx", onnx_model(at).SerializeToString()))
        )
        assert "files beside it" in said
    foreign = onnx_model()
    foreign.opset_import.append(helper.make_opsetid("evil.ops", 1))
    assert "not standard" in refused(lambda: place.serve(place.version("onnx", foreign.SerializeToString())))
    whole = onnx_model().SerializeToString()
    for size in range(0, len(whole) - 1, 3):
        refused(lambda size=size: place.serve(place.version("onnx", whole[:size])))
    refused(lambda: place.serve(place.version("onnx", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")))


def test_safetensors_headers_that_lie_are_refused_before_the_framework_is_loaded(measured) -> None:
    loaded = "torch" in sys.modules
    lying = hostile.safetensors()
    for name, content in lying.items():
        said = refused(
            lambda content=content: formats.decode("safetensors", content, "torch.Tensor", allow_pickle=False)
        )
        assert "safetensors file" in said, name
    assert ("torch" in sys.modules) is loaded
    measured("T31-safetensors", "Safetensors files whose headers lie", goal="all refused before the framework is loaded",
             files=len(lying))  # fmt: skip
    honest = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"a": "b"}}
    text = json.dumps(honest).encode()
    from fairway.formats import torch as codec

    codec._check_header(len(text).to_bytes(8, "little") + text + b"\0" * 8)


@pytest.mark.parametrize("size", [0, 1, 5, 7, 40, 100])
@pytest.mark.parametrize("form", ["npy", "arrow", "skops", "json", "bundle", "sparse", "keras", "onnx"])
def test_files_cut_short_are_refused(form: str, size: int) -> None:
    whole = {
        "npy": formats.encode(np.arange(100.0)).to_bytes(),
        "skops": formats.encode(LinearRegression().fit([[0.0], [1.0]], [0, 1])).to_bytes(),
        "json": formats.encode({"a": list(range(100))}).to_bytes(),
        "bundle": formats.encode([np.arange(10.0), "x"]).to_bytes(),
        "onnx": onnx_model().SerializeToString(),
    }.get(form, b"PK\x03\x04 ARROW1 " * 20)
    if form == "onnx" and size == 0:
        pytest.skip("nothing at all is a valid protocol buffer; the server's runtime refuses it")
    refused(lambda: formats.load_predictor(
        ModelVersion(name="m", version=1, lineage=Lineage(run="", step=""), candidate=Candidate(
            name="m", artifact=Artifact(format=form, digest="d", size=size), signature=SIGNATURE)),
        lambda _: whole[:size],
    ))  # fmt: skip


def test_arrays_that_claim_more_than_they_hold_are_refused() -> None:
    for header in ("'<f8', 'fortran_order': False, 'shape': (1099511627776,)", "'|O', 'fortran_order': False, 'shape': (1,)",
                   "'<f8', 'fortran_order': False, 'shape': (-1,)", "__import__('os')"):  # fmt: skip
        text = f"{{'descr': {header}, }}\n".encode()
        content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 64
        refused(lambda content=content: formats.decode("npy", content, "", allow_pickle=False))


def test_twenty_honest_models_are_accepted(place: Place, measured) -> None:
    data, target = load_iris(return_X_y=True)
    models = [
        LogisticRegression(max_iter=300), GaussianNB(), KNeighborsClassifier(3), RandomForestClassifier(5),
        GradientBoostingClassifier(n_estimators=5), SVC(), make_pipeline(StandardScaler(), LogisticRegression()),
        LinearRegression(), Ridge(), KMeans(3, n_init=1, random_state=0),
    ]  # fmt: skip
    accepted = 0
    for place_, model in enumerate(models):
        model.fit(data, target)
        package = formats.package_model(model, data[:8])
        assert package.compiled is not None, model
        version = place.version("pickle", b"never opened %d" % place_)
        compiled = Artifact(
            format="onnx", digest=place.store.put_bytes(package.compiled), size=len(package.compiled)
        )
        candidate = Candidate(
            name="m", artifact=version.candidate.artifact, signature=package.signature, compiled=compiled
        )
        served = place.serve(
            ModelVersion(name="m", version=1, candidate=candidate, lineage=Lineage(run="", step=""))
        )
        assert served.runtime == "onnx"
        accepted += 1
    plain = [LogisticRegression(max_iter=300), GaussianNB(), SVC(), LinearRegression(), Ridge(),
             make_pipeline(StandardScaler(), LogisticRegression())]  # fmt: skip
    for model in plain:
        encoded = formats.encode(model.fit(data, target))
        again = formats.decode(encoded.format, encoded.to_bytes(), encoded.kind, allow_pickle=False)
        assert np.allclose(again.predict(data), model.predict(data))  # type: ignore[attr-defined]
        accepted += 1
    for value in (np.eye(3), {"weights": np.ones(3), "name": "w"}, [1, 2.5, "x"], onnx_model()):
        encoded = formats.encode(value)
        formats.decode(encoded.format, encoded.to_bytes(), encoded.kind, allow_pickle=False)
        accepted += 1
    assert accepted == 20
    measured("T31", "Honest models and values, given to codecs and to the server", goal="20 of 20 accepted",
             accepted=accepted)  # fmt: skip


OWN = (
    MODULE
    + """
@fw.task
def train(shift: float) -> Own:
    return Own(shift)

@fw.pipeline
def own(shift: float = 1.0):
    return fw.register("own", train(shift))

@fw.task
def uses(model: object) -> float:
    return model.predict([[2.0]])[0]

@fw.task
def looks_up(name: str) -> float:
    return fw.value(fw.model(name)).predict([[2.0]])[0]

@fw.pipeline
def asks(name: str):
    return [fw.value(looks_up(name)), fw.value(uses(fw.model(name)))]
"""
)


def test_a_pickle_is_trusted_by_the_record_of_the_run_that_made_it_and_by_nothing_else(
    project: Project,
) -> None:
    project.write(OWN)
    project.fairway("run", "project.py:own")
    project.fairway("run", "project.py:asks", "--name", "own")
    metadata = SqliteMetadata(Layout(project.folder / ".fairway"))
    store = FileArtifacts(project.folder / ".fairway")
    real = metadata.resolve("own")
    marker = project.folder / "marker"
    content = hostile.pickles(marker)["exec"] + b" " * 5000
    digest = store.put_bytes(content)
    assert hashlib.sha256(content).hexdigest() == digest
    artifact = Artifact(format="pickle", digest=digest, size=len(content), kind="project.Own")
    candidate = Candidate(name="planted", artifact=artifact, signature=SIGNATURE)
    for number, lineage in enumerate(
        (
            Lineage(run=real.lineage.run, step="other"),
            Lineage(run="", step=""),
            Lineage(run="nowhere", step="register"),
        )
    ):
        name = f"planted{number}"
        version = ModelVersion(name=name, version=1, candidate=candidate, lineage=lineage)
        metadata.append([Event(body=ModelRegistered(version))])
        done = project.fairway("run", "project.py:asks", "--name", name, expect=1)
        assert "made by no run of this project" in done.stdout + done.stderr
        done = project.fairway("deploy", name, expect=None)
        assert done.returncode != 0
        assert "its origin is not trusted" in done.stdout + done.stderr
    metadata.close()
    project.fairway("down", expect=None)
    assert not marker.exists()
    subprocess.run([sys.executable, "-c", "import pickle, sys; pickle.loads(open(sys.argv[1], 'rb').read())",
                    str(_written(project.folder / "live", content))], check=False, capture_output=True)  # fmt: skip
    assert marker.exists(), "the planted model could do no harm anyway"


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
