import pickle
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from lightgbm import LGBMClassifier
from onnx import TensorProto, helper
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from fairway.formats import (
    NativePredictor,
    check_parity,
    decode_samples,
    encode,
    load_predictor,
    package_model,
)
from fairway.formats.models.runtime import OnnxPredictor
from fairway.spec.artifact import Artifact
from fairway.spec.errors import FairwayError, SerializationError
from fairway.spec.model import Candidate, Lineage, ModelVersion, Signature

DATA, TARGET = load_breast_cancer(return_X_y=True)


class Shelf:
    """A store of a few contents."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes | Path] = {}

    def put(self, format: str, content: bytes, kind: str = "") -> Artifact:
        digest = str(len(self.contents))
        self.contents[digest] = content
        return Artifact(format=format, digest=digest, size=len(content), kind=kind)

    def open(self, artifact: Artifact) -> bytes | Path:
        return self.contents[artifact.digest]

    def version(self, model: Any, *, compiled: bool = True, sample: Any = DATA) -> ModelVersion:
        package = package_model(model, sample)
        encoded = encode(model)
        artifact = self.put(encoded.format, encoded.to_bytes(), encoded.kind)
        onnx = self.put("onnx", package.compiled) if package.compiled and compiled else None
        return version(artifact, package.signature, onnx)


def version(
    artifact: Artifact, signature: Signature | None = None, compiled: Artifact | None = None
) -> ModelVersion:
    candidate = Candidate(name="churn", artifact=artifact, signature=signature, compiled=compiled)
    return ModelVersion(name="churn", version=4, candidate=candidate, lineage=Lineage(run="r", step="s"))


class Policy:
    def predict(self, data: Any) -> Any:
        return np.asarray(data).argmax(axis=1)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.marker), "w"))


def test_the_compiled_form_is_preferred() -> None:
    shelf = Shelf()
    model = RandomForestClassifier(5).fit(DATA, TARGET)
    predictor = load_predictor(shelf.version(model), shelf.open)
    assert predictor.runtime == "onnx"
    assert [spec.datatype for spec in predictor.signature.outputs] == ["INT64", "FP32"]
    got = predictor.predict({"input": DATA})
    assert (got["prediction"] == model.predict(DATA)).all()


def test_without_the_runtime_the_model_serves_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    wanted = shelf.version(LogisticRegression(max_iter=50).fit(DATA, TARGET))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert load_predictor(wanted, shelf.open).runtime == "scikit-learn"


def test_a_model_in_its_own_framework() -> None:
    shelf = Shelf()
    model = LogisticRegression(max_iter=50).fit(DATA, TARGET)
    predictor = load_predictor(shelf.version(model, compiled=False), shelf.open)
    assert predictor.runtime == "scikit-learn"
    assert (predictor.predict({"input": DATA})["probabilities"] == model.predict_proba(DATA)).all()


def test_a_pickled_model_needs_trust(tmp_path: Path) -> None:
    shelf = Shelf()
    wanted = shelf.version(Policy(), sample=np.eye(3))
    assert wanted.candidate.artifact.format == "pickle"
    with pytest.raises(SerializationError, match="can run code"):
        load_predictor(wanted, shelf.open)
    predictor = load_predictor(wanted, shelf.open, trusted=lambda: True)
    assert predictor.runtime == "python"
    assert predictor.predict({"input": np.eye(3)})["prediction"].tolist() == [0, 1, 2]


def test_an_untrusted_pickle_runs_nothing(tmp_path: Path) -> None:
    shelf, marker = Shelf(), tmp_path / "ran"
    signature = package_model(Policy(), np.eye(3)).signature
    for format in ("pickle", "skops", "onnx", "ubj", "npy", "keras", "torchscript"):
        artifact = shelf.put(format, pickle.dumps(Bomb(marker)))
        with pytest.raises(FairwayError):
            load_predictor(version(artifact, signature), shelf.open)
    assert not marker.exists()


def test_a_tree_of_unknown_origin_is_served_only_in_its_compiled_form() -> None:
    shelf = Shelf()
    model = RandomForestClassifier(5).fit(DATA, TARGET)
    load_predictor(shelf.version(model), shelf.open)
    with pytest.raises(SerializationError, match="not allowed"):
        load_predictor(shelf.version(model, compiled=False), shelf.open)
    load_predictor(shelf.version(model, compiled=False), shelf.open, trusted=lambda: True)


def test_a_model_without_a_sample_cannot_be_served_unless_it_says_what_it_takes() -> None:
    shelf = Shelf()
    model = LogisticRegression(max_iter=50).fit(DATA, TARGET)
    encoded = encode(model)
    artifact = shelf.put(encoded.format, encoded.to_bytes(), encoded.kind)
    with pytest.raises(FairwayError, match="churn version 4 was registered without a sample") as error:
        load_predictor(version(artifact), shelf.open)
    assert "sample=" in error.value.hint
    compiled = package_model(model, DATA).compiled
    assert compiled is not None
    predictor = load_predictor(version(shelf.put("onnx", compiled)), shelf.open)
    assert [(spec.name, spec.shape) for spec in predictor.signature.inputs] == [("input", (-1, 30))]


def test_many_threads_get_their_own_answers() -> None:
    shelf = Shelf()
    model = RandomForestClassifier(20).fit(DATA, TARGET)
    predictor = load_predictor(shelf.version(model), shelf.open)
    expected = model.predict_proba(DATA)
    wrong: list[int] = []

    def ask(start: int) -> None:
        for row in range(start, len(DATA), 8):
            got = predictor.predict({"input": DATA[row : row + 1]})["probabilities"][0]
            if not np.allclose(got, expected[row], atol=1e-5):
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_with_weights_elsewhere_or_strange_operators_is_not_loaded(tmp_path: Path) -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [3], np.ones(3, dtype="f4").tobytes(), raw=True)
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", info[:1], info[1:], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    assert OnnxPredictor(model.SerializeToString()).predict({"x": np.zeros((1, 3), "f4")})["y"].tolist() == [
        [1, 1, 1]
    ]
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="w.bin")
    with pytest.raises(SerializationError, match="files beside it"):
        OnnxPredictor((tmp_path / "m.onnx").read_bytes())
    strange = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)]
    )
    with pytest.raises(SerializationError, match="'evil'"):
        OnnxPredictor(strange.SerializeToString())


def test_a_failing_model_is_an_error_in_words() -> None:
    shelf = Shelf()
    predictor = load_predictor(shelf.version(LogisticRegression(max_iter=50).fit(DATA, TARGET)), shelf.open)
    with pytest.raises(FairwayError, match="the model could not compute"):
        predictor.predict({"input": np.zeros((1, 7))})


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        (0.0, "exact"), (1e-16, "max difference below 1e-12"), (4e-16, "max difference below 1e-12"),
        (6e-8, "max difference below 1e-05"), (3e-7, "max difference below 1e-05"), (3e-5, "max difference 3e-05"),
    ],
)  # fmt: skip
def test_a_difference_by_rounding_is_told_by_a_bound(difference: float, told: str) -> None:
    class Near:
        def predict(self, inputs: Any) -> Any:
            return {"y": np.full(len(inputs["x"]), 0.25 + difference)}

    outputs = {"y": np.full(4, 0.25)}
    assert check_parity(Near(), {"x": np.zeros((4, 1))}, outputs).note == told  # type: ignore[arg-type]


def test_parity_counts_what_was_reproduced() -> None:
    model = LogisticRegression(max_iter=50).fit(DATA, TARGET)
    package = package_model(model, DATA)
    assert package.compiled is not None
    predictor = OnnxPredictor(package.compiled, package.signature)
    inputs, outputs = decode_samples(package.samples)
    assert check_parity(predictor, inputs, outputs).ok
    outputs["prediction"] = outputs["prediction"].copy()
    outputs["prediction"][3] = 7
    parity = check_parity(predictor, inputs, outputs)
    assert (parity.reproduced, parity.rows, parity.ok) == (31, 32, False)
    assert parity.note == "its 'prediction' differs in 1 of 32 rows"
    assert not check_parity(predictor, {"input": DATA[:32, :5]}, outputs).ok
    assert "gives no 'other'" in check_parity(predictor, inputs, {"other": outputs["prediction"]}).note


@pytest.mark.parametrize(
    "make", [lambda: LogisticRegression(max_iter=50), lambda: LGBMClassifier(n_estimators=2, verbose=-1)]
)
def test_a_model_fitted_with_names_is_served_with_names(make: Any) -> None:
    frame, target = load_breast_cancer(return_X_y=True, as_frame=True)
    model = make().fit(frame, target)
    predictor = NativePredictor(model, package_model(model, frame).signature)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = predictor.predict({"input": DATA[:3]})
        assert (got["prediction"] == model.predict(frame)[:3]).all()


@pytest.mark.parametrize("labels", [(0, 1), ("no", "yes"), (False, True)], ids=["numbers", "texts", "truth"])
def test_trees_that_are_of_two_minds_give_the_same_label_compiled(labels: tuple[object, object]) -> None:
    random = np.random.default_rng(0)
    data = random.normal(size=(400, 4))
    target = np.array(labels)[(data[:, 0] + random.normal(size=400) > 0).astype(int)]
    model = RandomForestClassifier(20, random_state=0).fit(data, target)
    votes = model.predict_proba(many := random.normal(size=(2000, 4)))
    assert (votes[:, 0] == 0.5).sum() > 20
    package = package_model(model, data)
    assert package.compiled is not None
    compiled = OnnxPredictor(package.compiled, package.signature).predict({"input": many})
    assert compiled["prediction"].tolist() == model.predict(many).tolist()
