"""LightGBM models in LightGBM's own text format, which holds data only.

This module knows no other boosters.
"""

from pathlib import Path
from typing import Any

from fairway.formats import estimators
from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load

_FILE = "model.txt"
_BEST = "best_iteration="
"""The line for the iteration that early stopping chose.

The text format has no place for it, so it stands before the last line.
"""

_LAST = "pandas_categorical:"


def encode(value: Any) -> Encoded | None:
    """Encode a Booster, or a wrapper with scikit-learn's interface.

    Subclasses, other objects and callable objectives give None.
    """
    lightgbm = load("lightgbm")

    if type(value) is lightgbm.Booster:
        return Encoded(
            format="lightgbm-text",
            kind=kind_of(value),
            note=f"{value.current_iteration()} rounds, {value.num_feature()} features",
            data=_text(value).encode(),
        )
    if not estimators.is_instance(value, lightgbm.LGBMModel) or not type(value).__module__.startswith(
        "lightgbm."
    ):
        return None
    state: dict[str, Any] = {**value.__dict__}
    booster = state.pop("_Booster", None)
    labels = state.pop("_le", None)
    if labels is not None:
        state["_le"] = labels.classes_

    def save(root: Path) -> None:
        if booster is not None:
            (root / _FILE).write_text(_text(booster), encoding="utf-8")

    return estimators.encode(value, "lightgbm", state, save)


def decode(content: Content, kind: str = "") -> object:
    """Return the Booster."""
    lightgbm = load("lightgbm")

    text = as_bytes(content).decode()
    booster = lightgbm.Booster(model_str=text)
    best = text.rpartition(f"\n{_LAST}")[0].rpartition("\n")[2]
    if best.startswith(_BEST):
        booster.best_iteration = int(best.removeprefix(_BEST))
    return booster


def decode_wrapper(content: Content, kind: str = "") -> object:
    """Return the wrapper with its class, its parameters and its class labels."""
    lightgbm = load("lightgbm")

    value, root = estimators.decode(content, lightgbm, lightgbm.LGBMModel)
    state: dict[str, Any] = value.__dict__
    if "_le" in state:
        labels = load("sklearn.preprocessing").LabelEncoder()
        labels.classes_ = state["_le"]
        state["_le"] = labels
    if (root / _FILE).exists():
        state["_Booster"] = decode(root / _FILE)
    return value


def _text(booster: Any) -> str:
    """Return all iterations of a booster as text, with the best iteration added."""
    text: str = booster.model_to_string(num_iteration=-1)
    if booster.best_iteration < 1:
        return text
    model, last, rest = text.rpartition(_LAST)
    return f"{model}{_BEST}{booster.best_iteration}\n{last}{rest}" if last else text
