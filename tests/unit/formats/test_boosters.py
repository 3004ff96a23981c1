from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer

from fairway.formats import decode, encode
from fairway.spec.errors import SerializationError

DATA, TARGET = load_breast_cancer(return_X_y=True)
WORDS = np.where(TARGET == 1, "yes", "no")
Trip = Callable[..., Any]


@pytest.mark.parametrize(
    ("model", "target", "format"),
    [
        (lightgbm.LGBMClassifier(n_estimators=3, verbose=-1), WORDS, "lightgbm"),
        (lightgbm.LGBMRegressor(n_estimators=3, verbose=-1), TARGET, "lightgbm"),
        (xgboost.XGBClassifier(n_estimators=3, max_depth=2), TARGET, "xgboost"),
        (xgboost.XGBRegressor(n_estimators=3), TARGET, "xgboost"),
        (xgboost.XGBRFClassifier(n_estimators=3), TARGET, "xgboost"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else "",
)
def test_wrappers_come_back_as_they_were(model: Any, target: Any, format: str, trip: Trip) -> None:
    model.fit(DATA, target)
    again = trip(model, format)
    assert type(again) is type(model)
    assert repr(again.get_params()) == repr(model.get_params())
    assert (again.predict(DATA) == model.predict(DATA)).all()
    if hasattr(model, "predict_proba"):
        assert (again.predict_proba(DATA) == model.predict_proba(DATA)).all()
        assert (again.classes_ == model.classes_).all()


def test_bare_boosters(trip: Trip) -> None:
    one = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(DATA, TARGET), 3)
    assert (trip(one, "lightgbm-text").predict(DATA) == one.predict(DATA)).all()
    two = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(DATA, TARGET), 3)
    matrix = xgboost.DMatrix(DATA)
    assert (trip(two, "ubj").predict(matrix) == two.predict(matrix)).all()


def test_what_early_stopping_found_is_kept(trip: Trip) -> None:
    train, valid = (lightgbm.Dataset(DATA[half], TARGET[half]) for half in (slice(0, 300), slice(300, None)))
    stop: Any = lightgbm.early_stopping(5, verbose=False)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "learning_rate": 0.5},
        train,
        100,
        [valid],
        keep_training_booster=True,
        callbacks=[stop],
    )
    again = trip(booster, "lightgbm-text")
    assert 0 < booster.best_iteration < booster.current_iteration()
    assert again.best_iteration == booster.best_iteration
    assert (again.predict(DATA) == booster.predict(DATA)).all()


def test_wrappers_that_are_not_fitted(trip: Trip) -> None:
    assert trip(xgboost.XGBClassifier(max_depth=3), "xgboost").max_depth == 3
    assert trip(lightgbm.LGBMClassifier(num_leaves=7), "lightgbm").num_leaves == 7


def test_the_native_file_lies_in_the_folder(keep: Callable[..., Any]) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(DATA, TARGET)
    folder = keep(encode(model))
    assert sorted(path.name for path in folder.iterdir()) == ["model.txt", "wrapper.json"]
    assert lightgbm.Booster(model_file=folder / "model.txt").num_trees() == 3


def test_an_objective_of_the_user_is_code() -> None:
    def objective(truth: Any, predicted: Any) -> Any:
        return predicted - truth, np.ones_like(truth)

    assert encode(
        lightgbm.LGBMRegressor(objective=objective, n_estimators=2, verbose=-1).fit(DATA, TARGET)
    ).code


def test_a_wrapper_of_a_class_that_is_not_one_is_refused(keep: Callable[..., Any]) -> None:
    folder = keep(encode(xgboost.XGBClassifier(n_estimators=2).fit(DATA, TARGET)))
    state = folder / "wrapper.json"
    state.write_bytes(state.read_bytes().replace(b"XGBClassifier", b"DMatrix"))
    with pytest.raises(SerializationError, match="DMatrix"):
        decode("xgboost", folder, "xgboost.XGBClassifier")


def test_models_in_a_container(trip: Trip) -> None:
    model = xgboost.XGBClassifier(n_estimators=2).fit(DATA, TARGET)
    first, second = trip(
        [model, lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(DATA, TARGET)], "bundle"
    )
    assert (first.predict(DATA) == model.predict(DATA)).all()
    assert second.n_features_ == 30
