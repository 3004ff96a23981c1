from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from fairway.formats import (
    NativePredictor,
    check_parity,
    compile_onnx,
    decode_samples,
    describe_model,
    package_model,
    predict_sample,
    rows_to_inputs,
    sample_inputs,
    signature_of,
)
from fairway.formats.models.runtime import OnnxPredictor
from fairway.spec.errors import FairwayError, UsageError

FRAME, TARGET = load_breast_cancer(return_X_y=True, as_frame=True)
DATA = FRAME.to_numpy()

COMPILED: list[Callable[[], Any]] = [
    lambda: LogisticRegression(max_iter=50),
    lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    lambda: GradientBoostingClassifier(n_estimators=20),
    lambda: RandomForestClassifier(10),
    lambda: HistGradientBoostingClassifier(max_iter=10),
    lambda: HistGradientBoostingRegressor(max_iter=10),
    lambda: RandomForestRegressor(5),
    lambda: LinearRegression(),
    lambda: KNeighborsClassifier(),
    lambda: KMeans(3, n_init=1),
    lambda: PCA(2),
    lambda: SVC(),
    lambda: LinearSVC(),
    lambda: MLPClassifier((4,), max_iter=10),
    lambda: IsolationForest(n_estimators=5),
    lambda: lightgbm.LGBMClassifier(n_estimators=10, verbose=-1),
    lambda: lightgbm.LGBMRegressor(n_estimators=10, verbose=-1),
    lambda: xgboost.XGBClassifier(n_estimators=10),
    lambda: xgboost.XGBRegressor(n_estimators=10),
    lambda: make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=10, verbose=-1)),
    lambda: make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=10)),
]


@pytest.mark.parametrize("make", COMPILED)
@pytest.mark.parametrize("named", [True, False])
def test_a_compiled_model_agrees_on_all_data_and_not_only_on_its_samples(
    make: Callable[[], Any], named: bool
) -> None:
    data: Any = FRAME if named else DATA
    model = make().fit(data, TARGET)
    package = package_model(model, data)
    assert package.compiled is not None, package.note
    assert package.rows == 32
    predictor = OnnxPredictor(package.compiled, package.signature)
    got = predictor.predict({"input": DATA})
    expected = model.predict(data) if hasattr(model, "predict") else model.transform(data)
    if expected.dtype.kind == "f":
        assert np.isclose(got["prediction"], expected, rtol=1e-3, atol=1e-3).all()
    else:
        assert (got["prediction"] == expected).all()
    if hasattr(model, "predict_proba"):
        assert np.isclose(got["probabilities"], model.predict_proba(data), atol=1e-4).all()


def test_a_signature() -> None:
    model = LogisticRegression(max_iter=50).fit(FRAME, np.where(TARGET == 1, "yes", "no"))
    signature = signature_of(model, FRAME)
    assert signature.layout == "tensor"
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == [
        ("input", "FP64", (-1, 30))
    ]
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == [
        ("prediction", "BYTES", (-1,)),
        ("probabilities", "FP64", (-1, 2)),
    ]
    assert signature.columns == tuple(FRAME.columns)
    assert signature.classes == ("no", "yes")
    assert list(predict_sample(model, FRAME)) == ["prediction", "probabilities"]
    assert sample_inputs(model, FRAME)["input"].shape == (32, 30)


PEOPLE = pd.DataFrame(
    {
        "age": [20, 30, 40, 50] * 10,
        "wage": [1.5, 2.5, 3.5, 4.5] * 10,
        "city": ["a", "b", "c", "a"] * 10,
        "member": [True, False] * 20,
    }
)
LEFT = np.array([0, 1, 1, 0] * 10)


def mixed(frame: Any = PEOPLE) -> Any:
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "wage"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    return make_pipeline(columns, GradientBoostingClassifier(n_estimators=5)).fit(frame, LEFT)


def test_columns_of_text_and_numbers() -> None:
    package = package_model(mixed(), PEOPLE)
    assert package.signature.layout == "columns"
    assert [(spec.name, spec.datatype) for spec in package.signature.inputs] == [
        ("age", "INT64"),
        ("wage", "FP64"),
        ("city", "BYTES"),
        ("member", "BOOL"),
    ]
    assert package.compiled is not None, package.note
    predictor = OnnxPredictor(package.compiled, package.signature)
    row = {"age": 20, "wage": 1.5, "city": "nowhere", "member": True}
    frame = pd.DataFrame([row])
    got = predictor.predict(rows_to_inputs(package.signature, [row]))
    assert np.isclose(got["probabilities"], mixed().predict_proba(frame), atol=1e-5).all()


def test_a_polars_sample() -> None:
    frame = pl.DataFrame(PEOPLE.to_dict("list"))
    package = package_model(mixed(frame), frame)
    assert package.compiled is not None, package.note


def test_rows_as_a_sample() -> None:
    model = LogisticRegression().fit(PEOPLE[["age", "wage"]], LEFT)
    package = package_model(model, PEOPLE[["age", "wage"]].to_dict("records"))
    assert package.signature.columns == ("age", "wage")
    assert package_model(model, PEOPLE[["age", "wage"]].to_numpy().tolist()).signature.columns == ()


def test_missing_values_of_a_sample_are_served_as_they_were_trained() -> None:
    frame = PEOPLE.copy()
    frame.loc[0, "wage"] = np.nan
    frame.loc[1, "city"] = None
    package = package_model(mixed(frame), frame)
    inputs, outputs = decode_samples(package.samples)
    assert inputs["city"][1] is None
    assert check_parity(NativePredictor(mixed(frame), package.signature), inputs, outputs).ok


@pytest.mark.parametrize(
    "model",
    [
        lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=1, verbose=-1),
        xgboost.XGBClassifier(n_estimators=5, enable_categorical=True),
    ],
    ids=["lightgbm", "xgboost"],
)
def test_categories_of_boosters_are_served_natively(model: Any) -> None:
    frame = PEOPLE.assign(city=PEOPLE["city"].astype("category"))
    package = package_model(model.fit(frame, LEFT), frame)
    assert package.compiled is None
    inputs, outputs = decode_samples(package.samples)
    assert check_parity(NativePredictor(model, package.signature), inputs, outputs).ok


@pytest.mark.parametrize("objective", ["binary", "regression", "multiclass"])
def test_bare_lightgbm(objective: str) -> None:
    settings = {
        "objective": objective,
        "verbose": -1,
        **({"num_class": 2} if objective == "multiclass" else {}),
    }
    package = package_model(lightgbm.train(settings, lightgbm.Dataset(FRAME, TARGET), 3), FRAME)
    assert package.compiled is not None, package.note


@pytest.mark.parametrize("objective", ["binary:logistic", "reg:squarederror", "multi:softprob"])
def test_bare_xgboost(objective: str) -> None:
    data, target = load_iris(return_X_y=True, as_frame=True)
    if objective == "binary:logistic":
        target = target == 1
    settings = {"objective": objective, **({"num_class": 3} if objective == "multi:softprob" else {})}
    package = package_model(xgboost.train(settings, xgboost.DMatrix(data, target), 3), data)
    assert package.compiled is not None, package.note


class Policy:
    """A model of the user's own."""

    def predict(self, data: Any) -> Any:
        return np.asarray(data).sum(axis=1)


def test_any_object_that_predicts_is_a_model() -> None:
    package = package_model(Policy(), np.eye(3))
    assert package.compiled is None
    assert "no ONNX form" in package.note
    assert package.signature.outputs[0].datatype == "FP64"
    named = package_model(Policy(), pd.DataFrame(np.eye(3), columns=list("abc")))
    assert named.signature.layout == "columns"


def test_text() -> None:
    texts, labels = ["a good day", "bad day now", "good thing", "bad thing"], [1, 0, 1, 0]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)
    package = package_model(model, texts)
    assert package.compiled is None
    assert "words differently" in package.note
    inputs = rows_to_inputs(package.signature, ["a good thing"])
    assert NativePredictor(model, package.signature).predict(inputs)["prediction"].tolist() == [1]


def test_a_model_that_is_not_the_same_twice_is_refused() -> None:
    class Dice:
        def predict(self, data: Any) -> Any:
            return np.random.default_rng().random(len(data))

    with pytest.raises(FairwayError, match="does not give the same answers"):
        package_model(Dice(), np.eye(3))


def test_what_cannot_be_served_is_refused_with_a_reason() -> None:
    model = LogisticRegression(max_iter=20).fit(DATA, TARGET)
    for thing, sample, message in [
        (DBSCAN().fit(DATA), DATA, "DBSCAN cannot predict"),
        (model, pd.date_range("2024", periods=3), "no names for its columns"),
        (
            model,
            pd.DataFrame({"range": pd.interval_range(0, 3)}),
            "column 'range' holds values of type Interval",
        ),
        (model, [], "no rows"),
        (model, 3, "single value"),
        (model, [{"a": 1}, {"b": 1}], "same fields"),
        (model, {"a": [1, 2], "b": [1]}, "different lengths"),
        (model, [[1, 2], [3]], "cannot be made an array"),
        (model, [[{}]], "holds values of type dict"),
        (model, np.eye(3), "cannot predict its sample: ValueError: X has 3 features"),
    ]:
        with pytest.raises(UsageError, match=message):
            package_model(thing, sample)


def test_a_compiled_form_that_differs_is_dropped() -> None:
    model = LogisticRegression(max_iter=50).fit(DATA, TARGET)
    signature, inputs, outputs = (
        signature_of(model, DATA),
        sample_inputs(model, DATA),
        predict_sample(model, DATA),
    )
    assert compile_onnx(model, signature, inputs, outputs).data is not None
    outputs["probabilities"] = outputs["probabilities"] + 0.01
    compiled = compile_onnx(model, signature, inputs, outputs)
    assert compiled.data is None
    assert (
        compiled.note
        == "its ONNX form was dropped: its 'probabilities' differs in 32 of 32 rows by up to 0.01"
    )


def test_a_missing_converter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    package = package_model(LogisticRegression(max_iter=20).fit(DATA, TARGET), DATA)
    assert package.note == "skl2onnx is not installed: `pip install skl2onnx`"


def test_a_module_that_a_model_needs_and_that_is_missing_is_named() -> None:
    class Far:
        def predict(self, rows: np.ndarray[Any, Any]) -> object:
            raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

    with pytest.raises(UsageError, match="because onnxruntime is not installed") as refused:
        package_model(Far(), np.eye(3))
    assert "pip install onnxruntime" in refused.value.hint


def test_the_framework_is_described() -> None:
    assert describe_model(LogisticRegression()).startswith("scikit-learn 1.")
    assert describe_model(xgboost.XGBClassifier()).startswith("XGBoost ")
    assert describe_model(lightgbm.LGBMClassifier()).startswith("LightGBM ")
    assert describe_model(Policy()).endswith(".Policy")


def test_an_onnx_model_is_its_own_compiled_form() -> None:
    import onnx

    compiled = package_model(LogisticRegression(max_iter=20).fit(DATA, TARGET), DATA).compiled
    assert compiled is not None
    package = package_model(onnx.load_model_from_string(compiled), {"input": DATA})
    assert package.compiled is not None
    assert [spec.name for spec in package.signature.outputs] == ["prediction", "probabilities"]
    assert package.note == "exact"
