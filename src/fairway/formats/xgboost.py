"""XGBoost models in XGBoost's own binary JSON (.ubj), which holds data only.

This module knows no other boosters.
"""

from pathlib import Path
from typing import Any

from fairway.formats import estimators
from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load

_FILE = "model.ubj"


def encode(value: Any) -> Encoded | None:
    """Encode a Booster, or a wrapper with scikit-learn's interface.

    Subclasses, other objects and callable objectives give None.
    """
    xgboost = load("xgboost")

    if type(value) is xgboost.Booster:
        return Encoded(
            format="ubj",
            kind=kind_of(value),
            note=f"{value.num_boosted_rounds()} rounds, {value.num_features()} features",
            data=bytes(value.save_raw("ubj")),
        )
    if not estimators.is_instance(value, xgboost.XGBModel) or not type(value).__module__.startswith(
        "xgboost."
    ):
        return None
    state: dict[str, Any] = {**value.__dict__}
    booster = state.pop("_Booster", None)

    def save(root: Path) -> None:
        if booster is not None:
            booster.save_model(root / _FILE)

    return estimators.encode(value, "xgboost", state, save)


def decode(content: Content, kind: str = "") -> object:
    """Return the Booster."""
    xgboost = load("xgboost")

    booster = xgboost.Booster()
    booster.load_model(bytearray(as_bytes(content)))
    return booster


def decode_wrapper(content: Content, kind: str = "") -> object:
    """Return the wrapper with its class, its parameters and its class labels."""
    xgboost = load("xgboost")

    value, root = estimators.decode(content, xgboost, xgboost.XGBModel)
    if (root / _FILE).exists():
        vars(value)["_Booster"] = decode(root / _FILE)
    return value
