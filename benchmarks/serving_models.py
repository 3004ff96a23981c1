"""The models that every server of the comparison answers with, each as an ONNX file and as a registered version.

`python serving_models.py FOLDER` makes them: four features, logistic; a thousand boosted trees; a network of 17 MB.
"""

import itertools
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fairway import formats
from fairway.spec.artifact import Artifact
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.stores import FileArtifacts, Layout

WIDTH, HIDDEN, CLASSES = 64, 2048, 10


def small() -> tuple[Any, Any]:
    """Logistic regression over four features, and rows for it."""
    from sklearn.linear_model import LogisticRegression

    data = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    return LogisticRegression().fit(data, (data[:, 0] + data[:, 1] > 0).astype(int)), data


def trees() -> tuple[Any, Any]:
    """A thousand boosted trees over thirty features."""
    from sklearn.ensemble import GradientBoostingClassifier

    data = np.random.default_rng(1).normal(size=(600, 30)).astype(np.float32)
    target = (data[:, :5].sum(axis=1) + np.sin(3 * data[:, 5]) > 0).astype(int)
    return GradientBoostingClassifier(n_estimators=1000, max_depth=3, subsample=0.5, random_state=0).fit(
        data, target
    ), data


def network() -> tuple[Any, Any]:
    """A network of 17 MB of weights, whose one row costs reading them all."""
    from onnx import TensorProto, helper, numpy_helper

    chance = np.random.default_rng(2)
    sizes = (WIDTH, HIDDEN, HIDDEN, CLASSES)
    nodes, weights, last = [], [], "input"
    for place, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        scale = np.sqrt(2 / rows)
        matrix = (chance.normal(size=(rows, columns)) * scale).astype(np.float32)
        weights += [
            numpy_helper.from_array(matrix, f"w{place}"),
            numpy_helper.from_array(np.zeros(columns, np.float32), f"b{place}"),
        ]
        nodes.append(helper.make_node("Gemm", [last, f"w{place}", f"b{place}"], [f"h{place}"]))
        nodes.append(
            helper.make_node("Relu", [f"h{place}"], [f"r{place}"])
            if place < 2
            else helper.make_node("Softmax", [f"h{place}"], ["probabilities"], axis=1)
        )
        last = f"r{place}"
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model, chance.normal(size=(32, WIDTH)).astype(np.float32)


MODELS = {"small": small, "trees": trees, "network": network}


def make(name: str, folder: Path) -> None:
    """Write NAME.onnx, NAME.npy (rows) and NAME.json (the version), and fill the store in FOLDER/store."""
    model, data = MODELS[name]()
    store = FileArtifacts(folder / "store")
    package = formats.package_model(model, data[:8])

    def put(form: str, content: bytes) -> Artifact:
        return Artifact(format=form, digest=store.put_bytes(content), size=len(content))

    if package.compiled is None and name != "network":
        raise SystemExit(f"{name} could not be compiled: {package.note}")
    encoded = formats.encode(model)
    onnx = package.compiled or encoded.to_bytes()
    candidate = Candidate(
        name=name,
        artifact=put(encoded.format, encoded.to_bytes()),
        signature=package.signature,
        compiled=put("onnx", package.compiled) if package.compiled else None,
        samples=put("samples", package.samples),
        sample_rows=package.rows,
    )
    version = ModelVersion(name=name, version=1, candidate=candidate, lineage=Lineage(run="r", step="s"))
    (folder / f"{name}.onnx").write_bytes(onnx)
    np.save(folder / f"{name}.npy", data[:64])
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(version))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    Layout(place / "store").prepare()
    for known in MODELS:
        make(known, place)
