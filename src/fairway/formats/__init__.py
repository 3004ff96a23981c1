"""How values become artifacts and models become predictors, one file per framework."""

from fairway.formats.codecs import decode, encode, encode_portable
from fairway.formats.encoded import CODE_FORMATS, Encoded, kind_of
from fairway.formats.matplotlib import figure_svg, is_figure
from fairway.formats.models.adapters import describe_model
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
from fairway.formats.models.predictor import NativePredictor, Predictor, load_predictor
from fairway.formats.models.rows import nullable_columns, outputs_to_rows, refuse_missing, rows_to_inputs
from fairway.formats.models.samples import Arrays, decode_samples, encode_samples

__all__ = [
    "CODE_FORMATS",
    "Arrays",
    "Compiled",
    "Encoded",
    "NativePredictor",
    "Package",
    "Parity",
    "Predictor",
    "check_parity",
    "compile_onnx",
    "decode",
    "decode_samples",
    "describe_model",
    "encode",
    "encode_portable",
    "encode_samples",
    "figure_svg",
    "is_figure",
    "kind_of",
    "load_predictor",
    "nullable_columns",
    "outputs_to_rows",
    "package_model",
    "predict_sample",
    "refuse_missing",
    "rows_to_inputs",
    "sample_inputs",
    "signature_of",
]
