"""Repairs of the converters to ONNX that scikit-learn pipelines go through. Each repairs one measured fault.

This module knows the converters' interface (scope, operator, container) and no signatures.
"""

from collections.abc import Callable
from typing import Any

from fairway.formats.frameworks import load

_HISTOGRAM = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
"""Models of histogram trees, whose converter writes attributes that onnx refuses."""
_TREES = tuple(
    f"{name}{kind}"
    for name in ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees", "GradientBoosting")
    for kind in ("Classifier", "Regressor")
)
"""Models of other trees, which compare in single precision."""
_FLOAT, _DOUBLE = 1, 11
_TEXT = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
"""Parts that split texts into words, and do so differently in ONNX."""


def prepare(model: Any) -> dict[type, Callable[..., None]]:
    """Prepare the converter for the parts of a scikit-learn model.

    Returns:
        conversion functions by class.

    Raises:
        ValueError: a part would become something that answers differently.
    """
    parts = (model, *model.get_params(deep=True).values())
    names = {type(part).__name__ for part in parts}
    if text := names & set(_TEXT):
        raise ValueError(f"{text.pop()} splits text into words differently in ONNX")
    if any(getattr(part, "is_categorical_", None) is not None for part in parts):
        raise ValueError("categories are not converted")
    roots = {type(part).__module__.partition(".")[0] for part in parts}
    for root in roots & {"lightgbm", "xgboost"}:
        _register_booster(root)
    functions: dict[type, Callable[..., None]] = {}
    for part in parts:
        if type(part).__name__ in _HISTOGRAM:
            functions[type(part)] = _histogram
        elif type(part).__name__ in _TREES:
            functions[type(part)] = _tree
    return functions


def _register_booster(root: str) -> None:
    """Register the converters of a booster's wrappers, so that they can be steps of a pipeline."""
    shapes = load("skl2onnx.common.shape_calculator")
    library = load(root)
    if root == "lightgbm":
        prefix, change = (
            "LGBM",
            load("onnxmltools.convert.lightgbm.operator_converters.LightGbm").convert_lightgbm,
        )
    else:
        prefix, change = "XGB", _xgboost
    update = load("skl2onnx").update_registered_converter
    update(
        getattr(library, f"{prefix}Classifier"),
        f"Fairway{prefix}Classifier",
        shapes.calculate_linear_classifier_output_shapes,
        change,
        options={
            "nocl": [True, False],
            "zipmap": [True, False, "columns"],
            "output_class_labels": [False, True],
        },
    )
    update(
        getattr(library, f"{prefix}Regressor"),
        f"Fairway{prefix}Regressor",
        shapes.calculate_linear_regressor_output_shapes,
        change,
        options={"split": None} if root == "lightgbm" else None,
    )


def _histogram(scope: Any, operator: Any, container: Any) -> None:
    """Convert histogram trees, whose attributes are booleans and numpy integers that onnx refuses."""
    _registered(operator)(scope, operator, _Container(container))


def _tree(scope: Any, operator: Any, container: Any) -> None:
    """Convert other trees, which round their input to single precision before they compare it."""
    _in_single_precision(_registered(operator), scope, operator, container)


def _xgboost(scope: Any, operator: Any, container: Any) -> None:
    """Convert an XGBoost wrapper, which rounds its input to single precision before it compares it."""
    change = load("onnxmltools.convert.xgboost.operator_converters.XGBoost").convert_xgboost
    _in_single_precision(change, scope, operator, container)


def _registered(operator: Any) -> Callable[..., None]:
    """Return the converter that is registered for an operator."""
    return load("skl2onnx.common._registration").get_converter(operator.type)


def _in_single_precision(change: Callable[..., None], scope: Any, operator: Any, container: Any) -> None:
    """Convert an operator with casts around it, if it stands between numbers of double precision."""
    types = load("skl2onnx.common.data_types")
    if not isinstance(operator.inputs[0].type, types.DoubleTensorType):
        change(scope, operator, container)
        return
    given, made = operator.inputs[0], list(operator.outputs)
    narrow = _Variable(scope.get_unique_variable_name("single"), types.FloatTensorType(given.type.shape))
    _cast(container, given.full_name, narrow.full_name, _FLOAT)
    wide: list[tuple[_Variable, Any]] = []
    for place, output in enumerate(made):
        if isinstance(output.type, types.DoubleTensorType):
            name = scope.get_unique_variable_name("single")
            made[place] = _Variable(name, types.FloatTensorType(output.type.shape))
            wide.append((made[place], output))
    change(scope, _Operator(operator, [narrow], made), container)
    for output, wanted in wide:
        _cast(container, output.full_name, wanted.full_name, _DOUBLE)


def _cast(container: Any, source: str, target: str, type: int) -> None:
    """Add a cast of a variable to another element type."""
    container.add_node("Cast", [source], [target], name=f"{target}_cast", to=type)


class _Variable:
    """A variable of a graph under another name and type."""

    def __init__(self, name: str, type: Any) -> None:
        self.full_name = self.onnx_name = self.raw_name = name
        self.type = type


class _Operator:
    """An operator with other inputs and outputs."""

    def __init__(self, operator: Any, inputs: list[Any], outputs: list[Any]) -> None:
        self._operator = operator
        self.inputs = inputs
        self.outputs = outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)

    @property
    def input_full_names(self) -> list[str]:
        """The names of the inputs in the graph."""
        return [variable.full_name for variable in self.inputs]

    @property
    def output_full_names(self) -> list[str]:
        """The names of the outputs in the graph."""
        return [variable.full_name for variable in self.outputs]


class _Container:
    """A container that receives the nodes of a converter and makes their attributes plain integers."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        """Add a node."""
        plain = {name: _plain(value) for name, value in attributes.items()}
        self._container.add_node(op_type, inputs, outputs, **plain)


def _plain(value: Any) -> Any:
    """Return a plain integer for a boolean or a numpy integer, and other values as they are."""
    if isinstance(value, list):
        return [_plain(item) for item in value]  # pyright: ignore
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    scalar = isinstance(value, bool) or (kind in ("b", "i", "u") and getattr(value, "ndim", 1) == 0)
    return int(value) if scalar else value
