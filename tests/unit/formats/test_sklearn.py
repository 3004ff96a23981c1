import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from xgboost import XGBClassifier

from fairway.formats import decode, encode
from fairway.formats.sklearn import unreviewed
from fairway.spec.errors import SerializationError

DATA, TARGET = load_breast_cancer(return_X_y=True)

MODELS: list[Callable[[], Any]] = [
    lambda: LogisticRegression(max_iter=50),
    lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    lambda: make_pipeline(SelectKBest(f_classif, k=5), LogisticRegression()),
    lambda: GridSearchCV(LogisticRegression(max_iter=20), {"C": [1, 2]}, cv=2),
    lambda: make_pipeline(PCA(2), KMeans(2, n_init=1)),
    lambda: make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
    lambda: MLPClassifier((3,), max_iter=3),
]
TREES: list[Callable[[], Any]] = [
    lambda: KNeighborsClassifier(algorithm="kd_tree"),
    lambda: GradientBoostingClassifier(n_estimators=5),
    lambda: RandomForestClassifier(5),
    lambda: HistGradientBoostingClassifier(max_iter=3),
    lambda: make_pipeline(SimpleImputer(), LGBMClassifier(n_estimators=3, verbose=-1)),
    lambda: make_pipeline(SimpleImputer(), XGBClassifier(n_estimators=3)),
]


def dumped(model: object) -> bytes:
    """Return a model as skops writes it. skops is imported here because it loads PyTorch where that is installed."""
    import skops.io

    return skops.io.dumps(model)


@pytest.mark.parametrize("make", MODELS + TREES)
@pytest.mark.filterwarnings("ignore")
def test_estimators_come_back_without_pickle(make: Callable[[], Any], trip: Callable[..., Any]) -> None:
    model = make().fit(DATA, TARGET)
    again = trip(model, "skops", trusted=True)
    assert type(again) is type(model)
    assert (again.predict(DATA) == model.predict(DATA)).all()
    if hasattr(model, "predict_proba"):
        assert (again.predict_proba(DATA) == model.predict_proba(DATA)).all()


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_checked_types_need_no_trust(make: Callable[[], Any], trip: Callable[..., Any]) -> None:
    trip(make().fit(DATA, TARGET), "skops", trusted=False)


@pytest.mark.parametrize("make", TREES)
def test_types_whose_content_nobody_checks_need_trust(make: Callable[[], Any]) -> None:
    encoded = encode(make().fit(DATA, TARGET))
    with pytest.raises(SerializationError, match="not allowed"):
        decode("skops", encoded.data or b"", encoded.kind, allow_pickle=False)


def test_the_same_model_has_the_same_bytes_in_every_process() -> None:
    code = (
        "import sys, hashlib; from sklearn.datasets import load_iris;"
        "from sklearn.ensemble import RandomForestClassifier; from fairway.formats import encode;"
        "model = RandomForestClassifier(4, random_state=0).fit(*load_iris(return_X_y=True));"
        "print(hashlib.sha256(encode(model).data).hexdigest())"
    )
    env = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    out = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        ).stdout
        for _ in range(2)
    }
    assert len(out) == 1


class Own(BaseEstimator):
    def fit(self, data: Any, target: Any) -> "Own":
        return self

    def predict(self, data: Any) -> Any:
        return np.zeros(len(data))


def test_a_users_own_estimator_is_pickled_and_flagged() -> None:
    assert encode(Own()).code
    assert encode(make_pipeline(StandardScaler(), Own())).code
    assert encode(make_pipeline(FunctionTransformer(lambda data: data), LogisticRegression())).code


def test_a_file_with_a_strange_type_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    data = dumped(FunctionTransformer(os.system, kw_args={"command": f"touch {marker}"}))
    with pytest.raises(SerializationError, match="system"):
        decode("skops", data, "sklearn.FunctionTransformer")
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "numpy.testing._private.utils.runstring",
        "sklearn.datasets._base.load_files",
        "sklearn.utils._testing.check_skip_network",
        "sklearn.base.clone",
        "sklearn.os.system",
        "joblib.memory.Memory",
        "sklearnx.Evil",
        "subprocess.Popen",
    ],
)
def test_names_that_are_never_reviewed(name: str) -> None:
    assert unreviewed([name], trusted=True) == [name]


def test_storing_an_estimator_imports_no_other_framework() -> None:
    code = (
        "import sys; from sklearn.linear_model import LinearRegression; from fairway.formats import encode;"
        "encoded = encode(LinearRegression()); print(encoded.format, sorted({'torch', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "skops []"


def test_an_estimator_is_read_where_nothing_was_imported_before() -> None:
    data = dumped(DummyRegressor().fit(DATA, TARGET)).hex()
    program = (
        "import sys; from fairway.formats.codecs import decode;"
        "found = decode('skops', bytes.fromhex(sys.stdin.read()), 'sklearn.DummyRegressor');"
        "print(type(found).__name__, sorted({'torch', 'jax', 'cupy', 'dask'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "DummyRegressor []"
