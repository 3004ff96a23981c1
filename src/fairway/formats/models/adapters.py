"""One table of how models of each framework are handled, chosen by the packages that define a model's class.

Knows every framework's module in this folder and no framework itself.
"""

from collections.abc import Callable
from typing import Any, cast

import msgspec

from fairway.formats import onnx as onnx_file
from fairway.formats.encoded import kind_of, roots_of
from fairway.formats.frameworks import framework_name
from fairway.formats.models import boosters, keras, lightgbm, sklearn, tables, torch, xgboost
from fairway.formats.models.runtime import OnnxPredictor
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import Signature


def _same(model: Any, inputs: Arrays) -> Arrays:
    return inputs


def _as_it_is(model: Any, signature: Signature) -> Signature:
    return signature


def _no_classes(model: Any) -> list[Any]:
    return []


def _never(model: Any) -> bool:
    return False


def _always(model: Any) -> bool:
    return True


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """How models of one framework are handled.

    Attributes:
        runtime: the framework's name for people, in the server's answer.
        predict: outputs by name, given the model and what `prepare` made.
        prepare: what the model takes, given the model, its signature and arrays by input name.
        convert: the model as ONNX, given model, signature, element types and sample inputs; may raise.
        classes: a classifier's labels.
        wants_table: whether columns of numbers must stay apart.
        adjust: the sample in the element types that the model computes with.
        complete: the signature with what the model knows of its inputs and the sample did not say.
        native: whether the model takes the user's own sample as it is.
        tables: whether the model can take a table.
    """

    runtime: str
    predict: Callable[[Any, Any], Arrays]
    prepare: Callable[[Any, Signature, Arrays], Any]
    convert: Callable[[Any, Signature, dict[str, str], Arrays], bytes] | None = None
    classes: Callable[[Any], list[Any]] = _no_classes
    wants_table: Callable[[Any], bool] = _never
    adjust: Callable[[Any, Arrays], Arrays] = _same
    complete: Callable[[Any, Signature], Signature] = _as_it_is
    native: bool = True
    tables: bool = True


def _onnx_predict(model: Any, data: Any) -> Arrays:
    return OnnxPredictor(model.SerializeToString()).predict(data)


def _onnx_convert(model: Any, *_: object) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    onnx_file.check(data)
    return data


def _object_prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    return tables.table_of(signature, inputs) if signature.columns else tables.array_of(signature, inputs)


_ADAPTERS = {
    "sklearn": Adapter(
        runtime="scikit-learn",
        predict=sklearn.predict,
        prepare=sklearn.prepare,
        convert=lambda model, signature, types, _: sklearn.convert(model, signature, types),
        classes=sklearn.classes,
        wants_table=sklearn.wants_table,
    ),
    "lightgbm": Adapter(
        runtime="LightGBM",
        predict=lightgbm.predict,
        prepare=boosters.prepare,
        convert=lambda model, signature, types, _: lightgbm.convert(model, signature, types),
        classes=sklearn.classes,
        complete=lambda model, signature: boosters.complete(model, signature, lightgbm.categories),
    ),
    "xgboost": Adapter(
        runtime="XGBoost",
        predict=xgboost.predict,
        prepare=boosters.prepare,
        convert=lambda model, signature, types, _: xgboost.convert(model, signature, types),
        classes=sklearn.classes,
        complete=lambda model, signature: boosters.complete(model, signature, xgboost.categories),
    ),
    "torch": Adapter(
        runtime="PyTorch",
        predict=torch.predict,
        prepare=torch.prepare,
        convert=torch.convert,
        adjust=torch.adjust,
        native=False,
        tables=False,
    ),
    "keras": Adapter(
        runtime="Keras",
        predict=keras.predict,
        prepare=keras.prepare,
        convert=lambda model, signature, types, _: keras.convert(model, signature, types),
        adjust=keras.adjust,
        native=False,
        tables=False,
    ),
    "onnx": Adapter(
        runtime="onnx",
        predict=_onnx_predict,
        prepare=lambda model, signature, inputs: inputs,
        convert=_onnx_convert,
        native=False,
        tables=False,
    ),
}

_OBJECT = Adapter(
    runtime="python",
    predict=sklearn.predict,
    prepare=_object_prepare,
    classes=sklearn.classes,
    wants_table=_always,
)


_DATA = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex, Evaluation)
_TABLES = ("pandas", "polars", "pyarrow")


def adapter_of(model: Any) -> Adapter:
    """How to handle a model; any object with `predict` is one."""
    for root in roots_of(model):
        if root in _ADAPTERS:
            return _ADAPTERS[root]
    return _OBJECT


def refuse_data(model: Any) -> None:
    """Refuse plain data, tables, arrays and classes in the place of a model. Raises UsageError."""
    kind = cast("type[Any]", type(model))
    root = kind.__module__.partition(".")[0]
    array = root in ("numpy", "scipy", "torch", "jax", "jaxlib") and hasattr(model, "shape")
    plain = isinstance(model, _DATA) or root in _TABLES or array
    if model is None or (plain and not hasattr(cast("object", model), "predict")):
        raise UsageError(
            f"register: {'None' if model is None else f'a {kind.__name__}'} is no model",
            hint="give `fw.register` what was trained: an estimator, a booster, a module, or an object with `predict`",
        )
    if isinstance(model, type):
        raise UsageError(
            f"register: {model.__name__} is a class and no model", hint="give an instance that was trained"
        )


def describe_model(model: Any) -> str:
    """The framework and its version, "scikit-learn 1.9.1"; for a model of no framework its class."""
    for root in roots_of(model):
        if name := framework_name(root):
            return name
    return kind_of(model)
