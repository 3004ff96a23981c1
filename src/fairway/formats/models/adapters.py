"""A table of functions that handle the models of each framework.

The packages that define a model's class choose the entry.

This module knows the modules of all frameworks in this folder, and none of the frameworks.
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
    """Return the inputs as they are."""
    return inputs


def _as_it_is(model: Any, signature: Signature) -> Signature:
    """Return the signature as it is."""
    return signature


def _no_classes(model: Any) -> list[Any]:
    """Return no labels."""
    return []


def _never(model: Any) -> bool:
    """Return False for every model."""
    return False


def _always(model: Any) -> bool:
    """Return True for every model."""
    return True


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """The functions that handle the models of one framework.

    Attributes:
        runtime: the framework's name for people, in the answers of a server.
        predict: returns outputs by name, from the model and the value that `prepare` made.
        prepare: returns the value that the model takes, from the model, its signature and arrays by input name.
        convert: returns the model as ONNX, from model, signature, element types and sample inputs. It may raise
            anything.
        classes: returns the labels of a classifier.
        wants_table: tells whether columns of numbers must be kept apart.
        adjust: returns the sample in the element types that the model computes with.
        complete: returns the signature with facts about the inputs that the model knows and the sample lacks.
        native: True when the model takes the user's own sample as it is.
        tables: True when the model can take a table.
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
    """Run an ONNX model on arrays by input name."""
    return OnnxPredictor(model.SerializeToString()).predict(data)


def _onnx_convert(model: Any, *_: object) -> bytes:
    """Serialise an ONNX model. Raises SerializationError when it needs other files or foreign operators."""
    data: bytes = model.SerializeToString(deterministic=True)
    onnx_file.check(data)
    return data


def _object_prepare(model: Any, signature: Signature, inputs: Arrays) -> Any:
    """Return a table for a sample with named columns, and an array for any other sample."""
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
"""The adapter for objects of no known framework that have `predict`."""


_DATA = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex, Evaluation)
"""Types of plain data, which are no models."""
_TABLES = ("pandas", "polars", "pyarrow")


def adapter_of(model: Any) -> Adapter:
    """Return the adapter for a model. Any object with `predict` is a model."""
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
            hint="give `fw.register` a trained model: an estimator, a booster, a module, or an object with `predict`",
        )
    if isinstance(model, type):
        raise UsageError(
            f"register: {model.__name__} is a class and no model", hint="give an instance that was trained"
        )


def describe_model(model: Any) -> str:
    """Return the framework and its version, such as "scikit-learn 1.9.1", or the class of a model of no framework."""
    for root in roots_of(model):
        if name := framework_name(root):
            return name
    return kind_of(model)
