"""Chooses the format of a value by its type, and reads any format back.

A framework is imported only when one of its values, or content in its format, is met: the packages that
define a value's class and bases say whose value it is. Knows no store.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fairway.formats import (
    arrow,
    bundle,
    files,
    jax,
    keras,
    lightgbm,
    numpy,
    onnx,
    pandas,
    pickled,
    plain,
    polars,
    scipy,
    sklearn,
    torch,
    xgboost,
)
from fairway.formats.encoded import CODE_FORMATS, Content, Encoded, kind_of, roots_of
from fairway.formats.frameworks import install_hint
from fairway.spec.errors import FairwayError, SerializationError

_ENCODE: dict[str, Callable[[Any], Encoded | None]] = {
    "numpy": numpy.encode,
    "pandas": pandas.encode,
    "polars": polars.encode,
    "pyarrow": arrow.encode,
    "scipy": scipy.encode,
    "torch": torch.encode,
    "jaxlib": jax.encode,
    "jax": jax.encode,
    "sklearn": sklearn.encode,
    "xgboost": xgboost.encode,
    "lightgbm": lightgbm.encode,
    "onnx": onnx.encode,
    "keras": keras.encode,
}
"""By top-level package; a codec returns None for values that it cannot hold exactly."""

_DECODE: dict[str, Callable[[Content, str], object]] = {
    "npy": numpy.decode,
    "arrow": arrow.decode,
    "file": files.decode,
    "folder": files.decode,
    "pickle": pickled.decode,
    "sparse": scipy.decode,
    "safetensors": torch.decode,
    "torchscript": torch.decode_script,
    "ubj": xgboost.decode,
    "xgboost": xgboost.decode_wrapper,
    "lightgbm-text": lightgbm.decode,
    "lightgbm": lightgbm.decode_wrapper,
    "onnx": onnx.decode,
    "keras": keras.decode,
}

_BY_KIND: dict[tuple[str, str], Callable[[Content, str], object]] = {
    ("arrow", "pandas"): pandas.decode,
    ("arrow", "polars"): polars.decode,
    ("npy", "jax"): jax.decode,
}
"""Formats that several packages share, by format and the package in the value's kind."""


def encode(value: object, *, allow_pickle: bool = True) -> Encoded:
    """How to store a value: the safest format that gives back exactly the same value.

    Plain values become JSON, values of a framework its native format, containers of such a bundle, and
    anything else a pickle, unless that is not allowed.

    Raises:
        SerializationError: no format can hold the value; names its type and what to do.
    """
    encoded = _leaf(value)
    if encoded is not None:
        return encoded
    try:
        return Encoded(
            format="json", kind=kind_of(value), note=plain.summary(value), data=plain.Writer().encode(value)
        )
    except (plain.NotPlain, RecursionError):
        pass
    try:
        return bundle.encode(value, _leaf)
    except (plain.NotPlain, RecursionError):
        pass
    if not allow_pickle:
        raise pickled.refuse(value)
    return pickled.encode(value)


def encode_portable(value: object) -> Encoded:
    """A pickle that carries the project's own classes with it. Raises SerializationError."""
    return pickled.encode(value, portable=True)


def decode(format: str, content: bytes | Path, kind: str = "", *, allow_pickle: bool = True) -> object:
    """The value again.

    Args:
        format: as in `Encoded`.
        content: bytes, or the path of a file or folder, which is left as it is.
        kind: as in `Encoded`; needed for tables.
        allow_pickle: whether content may run code and import modules; False for content of foreign origin.

    Raises:
        SerializationError: the content cannot be read here, or would have to run code and may not.
    """
    return _decode(format, content, kind, allow_pickle)


def _decode(format: str, content: Content, kind: str, trusted: bool) -> object:
    if format in CODE_FORMATS and not trusted:
        raise SerializationError(
            f"a value of type {kind or 'unknown'} is stored as {format}, which can run code, "
            "and its origin is not trusted",
            hint="store it in a format without code, or make it in a run of this project",
        )
    try:
        if format == "json":
            return plain.Reader(importing=trusted).decode(_data(content))
        if format == "bundle":
            return bundle.decode(content, functools.partial(_decode, trusted=trusted), importing=trusted)
        if format == "skops":
            return sklearn.decode(content, kind, trusted=trusted)
        read = _BY_KIND.get((format, kind.partition(".")[0])) or _DECODE.get(format)
        if read is None:
            raise SerializationError(
                f"a value is stored in the unknown format {format!r}",
                hint="it may need a newer version of Fairway",
            )
        return read(content, kind)
    except FairwayError:
        raise
    except ImportError as error:
        raise SerializationError(
            f"a value of type {kind or format} needs a package that is not installed: {error}",
            hint=install_hint(error.name or format),
        ) from error
    except Exception as error:
        raise SerializationError(
            f"a value of type {kind or format} cannot be read from its {format} content: {error}",
            hint="run the step that made it again",
        ) from error


def _data(content: Content) -> bytes | memoryview:
    return content.read_bytes() if isinstance(content, Path) else content


def _leaf(value: object) -> Encoded | None:
    """A value of a framework, or a user's file, in its own format; None when there is none."""
    if hasattr(type(value), "__fairway_kind__"):
        return files.encode(value)
    if torch.is_state_dict(value):
        return torch.encode_state_dict(value)
    for root in roots_of(value):
        encode_it = _ENCODE.get(root)
        try:
            encoded = encode_it(value) if encode_it is not None else None
        except ImportError:
            continue
        if encoded is not None:
            return encoded
    return None
