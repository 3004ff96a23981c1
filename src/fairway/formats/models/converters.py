"""Repairs of the converters to ONNX that scikit-learn pipelines go through, each for one measured fault.

Knows the converters' interface (scope, operator, container) and nothing of signatures.
"""

from collections.abc import Callable
from typing import Any

from fairway.formats.frameworks import load

_HISTOGRAM = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
_FLOAT = 1
_TEXT = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")


def teach(model: Any) -> dict[type, Callable[..., None]]:
    """Prepare the converter for the parts of a scikit-learn model; returns conversion functions by class.

    Raises:
        ValueError: a part would be converted into something that answers differently.
    """
    parts = (model, *model.get_params(deep=True).values())
    names = {type(part).__name__ for part in parts}
    if text := names & set(_TEXT):
        raise ValueError(f"{text.pop()} splits text into words differently in ONNX")
    roots = {type(part).__module__.partition(".")[0] for part in parts}
    for root in roots & {"lightgbm", "xgboost"}:
        _teach_booster(root)
    return {type(part): _histogram for part in parts if type(part).__name__ in _HISTOGRAM}


def _teach_booster(root: str) -> None:
    """Register the converters of a booster's wrappers as steps of a pipeline."""
    shapes = load("skl2onnx.common.shape_calculator")
    library = load(root)
    if root == "lightgbm":
        prefix, change = "LGBM", load("onnxmltools.convert.lightgbm.operator_converters.LightGbm").convert_lightgbm
    else:
        prefix, change = "XGB", _single_precision
    update = load("skl2onnx").update_registered_converter
    update(
        getattr(library, f"{prefix}Classifier"),
        f"Fairway{prefix}Classifier",
        shapes.calculate_linear_classifier_output_shapes,
        change,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"], "output_class_labels": [False, True]},
    )
    update(
        getattr(library, f"{prefix}Regressor"),
        f"Fairway{prefix}Regressor",
        shapes.calculate_linear_regressor_output_shapes,
        change,
        options={"split": None} if root == "lightgbm" else None,
    )


def _single_precision(scope: Any, operator: Any, container: Any) -> None:
    """XGBoost compares in single precision, so what comes from a step before must be rounded to it first."""
    change = load("onnxmltools.convert.xgboost.operator_converters.XGBoost").convert_xgboost
    change(scope, operator, _Container(container, scope, narrow=True))


def _histogram(scope: Any, operator: Any, container: Any) -> None:
    """scikit-learn's histogram trees have booleans and numpy integers as attributes, which onnx refuses."""
    registered = load("skl2onnx.common._registration").get_converter(operator.type)
    registered(scope, operator, _Container(container, scope, narrow=False))


class _Container:
    """Passes on what a converter adds to a graph, repaired."""

    def __init__(self, container: Any, scope: Any, *, narrow: bool) -> None:
        self._container = container
        self._scope = scope
        self._narrow = narrow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add a node with plain integers as attributes, behind a cast where that is asked for."""
        if self._narrow and op_type.startswith("TreeEnsemble"):
            narrow = self._scope.get_unique_variable_name("single")
            self._container.add_node("Cast", inputs, [narrow], name=f"{narrow}_cast", to=_FLOAT)
            inputs = [narrow]
        plain = {name: _plain(value) for name, value in attributes.items()}
        self._container.add_node(op_type, inputs, outputs, **plain)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    scalar = isinstance(value, bool) or (kind in ("b", "i", "u") and getattr(value, "ndim", 1) == 0)
    return int(value) if scalar else value
