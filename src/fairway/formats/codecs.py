"""The choice of a format for a value by its type, and the reading of every format.

A framework and its codec are imported only for one of its values or for content in its format. The packages that
define a value's class and bases tell which framework it belongs to. This module knows no store.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from fairway.formats import bundle, plain
from fairway.formats.encoded import CODE_FORMATS, Content, Encoded, kind_of, roots_of
from fairway.formats.frameworks import install_hint
from fairway.spec.errors import FairwayError, SerializationError

_ENCODE = {
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "polars",
    "pyarrow": "arrow",
    "scipy": "scipy",
    "torch": "torch",
    "jaxlib": "jax",
    "jax": "jax",
    "sklearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "keras": "keras",
}
"""The codec of each framework by top-level package.

Its `encode` returns None for values that it cannot hold exactly.
"""

_DECODE = {
    "npy": "numpy.decode",
    "arrow": "arrow.decode",
    "file": "files.decode",
    "folder": "files.decode",
    "pickle": "pickled.decode",
    "sparse": "scipy.decode",
    "safetensors": "torch.decode",
    "torchscript": "torch.decode_script",
    "ubj": "xgboost.decode",
    "xgboost": "xgboost.decode_wrapper",
    "lightgbm-text": "lightgbm.decode",
    "lightgbm": "lightgbm.decode_wrapper",
    "onnx": "onnx.decode",
    "keras": "keras.decode",
}
"""The function that reads each format."""

_BY_KIND = {
    ("arrow", "pandas"): "pandas.decode",
    ("arrow", "polars"): "polars.decode",
    ("npy", "jax"): "jax.decode",
}
"""The function that reads a format shared by several packages, by format and by the package in the value's kind."""


_SHOWN = frozenset({"json", "bundle", "npy", "arrow"})
"""Formats that are shown to people. Reading them runs no code."""
_OWN = "fairway.spec."
"""The package whose records may be made for showing."""


def warm() -> None:
    """Import the codecs of all loaded frameworks, so that no process forked from this one has to."""
    for package, codec in _ENCODE.items():
        if package in sys.modules:
            _codec(codec)


def _codec(name: str) -> Any:
    """Import a codec."""
    return importlib.import_module(f"fairway.formats.{name}")


def _function(place: str) -> Callable[[Content, str], object]:
    """Return a function of a codec by its name "codec.function"."""
    codec, _, name = place.partition(".")
    return cast("Callable[[Content, str], object]", getattr(_codec(codec), name))


def encode(value: object, *, allow_pickle: bool = True) -> Encoded:
    """Encode a value in the safest format that gives back exactly the same value.

    Plain values become JSON. Values of a framework get the framework's native format. Containers of such values
    become a bundle. Anything else becomes a pickle, if that is allowed.

    Args:
        value: the value to store.
        allow_pickle: False refuses values that only pickle can hold.

    Raises:
        SerializationError: no format can hold the value. The message names its type, and the hint what to do.
    """
    # From the safest format to the least safe one: native, JSON, a bundle of both, and a pickle at last.
    encoded = _leaf(value)
    if encoded is not None:
        return encoded
    try:
        writer = plain.Writer()
        data = writer.encode(value)
        return Encoded(
            format="json",
            kind=kind_of(value),
            note=plain.summary(value),
            data=data,
            refers=tuple(writer.classes),
        )
    except (plain.NotPlain, RecursionError):
        pass
    try:
        return bundle.encode(value, _leaf)
    except (plain.NotPlain, RecursionError):
        pass
    pickled = _codec("pickled")
    if not allow_pickle:
        raise pickled.refuse(value)
    return cast("Encoded", pickled.encode(value))


def encode_by_value(value: object, modules: list[ModuleType]) -> Encoded:
    """Encode a value as a pickle that contains the code it needs from these modules. Raises SerializationError."""
    return cast("Encoded", _codec("pickled").encode(value, by_value=modules))


def reached(value: object) -> list[object]:
    """Return every class, function and module that a reader of the value's pickle would look up or make."""
    return cast("list[object]", _codec("pickled").reached(value))


def decode(format: str, content: bytes | Path, kind: str = "", *, allow_pickle: bool = True) -> object:
    """Return the value that was stored.

    Args:
        format: the format, as in `Encoded`.
        content: the bytes, or the path of a file or folder, which is not changed.
        kind: the kind, as in `Encoded`. Tables need it.
        allow_pickle: True lets the content run code and import modules. Give False for content of foreign origin.

    Raises:
        SerializationError: the content cannot be read here, or would have to run code and may not.
    """
    return _decode(format, content, kind, allow_pickle)


def look(format: str, content: bytes | Path, kind: str = "") -> object:
    """Return a value for showing it. The content may come from anybody.

    Plain data, arrays, tables and Fairway's own records are shown.

    Raises:
        SerializationError: the content could run code, has a form that is not shown, or cannot be read.
    """
    if format not in _SHOWN:
        raise SerializationError(f"not shown: can run code ({kind or 'a value'} stored as {format})")
    try:
        if format == "json":
            return plain.Reader(importing=False, only=_OWN).decode(_data(content))
        if format == "bundle":
            return bundle.decode(content, look, importing=False, only=_OWN)  # type: ignore[arg-type]
        return _function(_BY_KIND.get((format, kind.partition(".")[0])) or _DECODE[format])(content, kind)
    except FairwayError:
        raise
    except Exception as error:
        raise SerializationError(f"not shown: cannot be read ({type(error).__name__})") from error


def _decode(format: str, content: Content, kind: str, trusted: bool) -> object:
    """Read content of any format, with or without trust in its origin. Raises SerializationError."""
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
            return cast("object", _codec("sklearn").decode(content, kind, trusted=trusted))
        place = _BY_KIND.get((format, kind.partition(".")[0])) or _DECODE.get(format)
        if place is None:
            raise SerializationError(
                f"a value is stored in the unknown format {format!r}",
                hint="it may need a newer version of Fairway",
            )
        return _function(place)(content, kind)
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
    """Return the content in memory."""
    return content.read_bytes() if isinstance(content, Path) else content


def _leaf(value: object) -> Encoded | None:
    """Encode a value of a framework, or a user's file, in its own format. Other values give None."""
    if hasattr(type(value), "__fairway_kind__"):
        return cast("Encoded", _codec("files").encode(value))
    if "torch" in sys.modules and _codec("torch").is_state_dict(value):
        return cast("Encoded | None", _codec("torch").encode_state_dict(value))
    for root in roots_of(value):
        codec = _ENCODE.get(root)
        try:
            encoded = cast("Encoded | None", _codec(codec).encode(value)) if codec is not None else None
        except ImportError:
            continue
        if encoded is not None:
            return encoded
    return None
