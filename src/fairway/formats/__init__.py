"""The conversion of values to artifacts and of models to predictors, with one module for each framework.

A name is loaded at its first use, because most processes need few of them: an engine stores no values, and a step
that stores a number packages no model.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairway.formats.codecs import decode, encode, look
    from fairway.formats.encoded import CODE_FORMATS, Encoded, kind_of
    from fairway.formats.matplotlib import figure_svg, is_figure
    from fairway.formats.models.adapters import describe_model, refuse_data
    from fairway.formats.models.features import check_features
    from fairway.formats.models.nesting import MAX_RANK, flat
    from fairway.formats.models.package import (
        Compiled,
        Package,
        compile_onnx,
        package_model,
        predict_sample,
        sample_inputs,
        signature_of,
    )
    from fairway.formats.models.parity import Parity, check_parity
    from fairway.formats.models.predictor import NativePredictor, Predictor, load_model, load_predictor
    from fairway.formats.models.rows import nullable_columns, outputs_to_rows, refuse_missing, rows_to_inputs
    from fairway.formats.models.samples import Arrays, decode_samples, encode_samples

_HOMES = {
    "CODE_FORMATS": "encoded",
    "MAX_RANK": "models.nesting",
    "Arrays": "models.samples",
    "Compiled": "models.package",
    "Encoded": "encoded",
    "NativePredictor": "models.predictor",
    "Package": "models.package",
    "Parity": "models.parity",
    "Predictor": "models.predictor",
    "check_parity": "models.parity",
    "compile_onnx": "models.package",
    "decode": "codecs",
    "decode_samples": "models.samples",
    "describe_model": "models.adapters",
    "encode": "codecs",
    "encode_samples": "models.samples",
    "figure_svg": "matplotlib",
    "flat": "models.nesting",
    "is_figure": "matplotlib",
    "kind_of": "encoded",
    "load_model": "models.predictor",
    "load_predictor": "models.predictor",
    "look": "codecs",
    "nullable_columns": "models.rows",
    "outputs_to_rows": "models.rows",
    "package_model": "models.package",
    "predict_sample": "models.package",
    "refuse_data": "models.adapters",
    "refuse_missing": "models.rows",
    "rows_to_inputs": "models.rows",
    "sample_inputs": "models.package",
    "signature_of": "models.package",
    "check_features": "models.features",
}

__all__ = [
    "CODE_FORMATS",
    "MAX_RANK",
    "Arrays",
    "Compiled",
    "Encoded",
    "NativePredictor",
    "Package",
    "Parity",
    "Predictor",
    "check_features",
    "check_parity",
    "compile_onnx",
    "decode",
    "decode_samples",
    "describe_model",
    "encode",
    "encode_samples",
    "figure_svg",
    "flat",
    "is_figure",
    "kind_of",
    "load_model",
    "load_predictor",
    "look",
    "nullable_columns",
    "outputs_to_rows",
    "package_model",
    "predict_sample",
    "refuse_data",
    "refuse_missing",
    "rows_to_inputs",
    "sample_inputs",
    "signature_of",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"fairway.formats.{home}"), name)
    return found
