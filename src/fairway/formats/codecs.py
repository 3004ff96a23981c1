"""Chooses the format of a value by its type, and reads any format back.

A framework and its codec are imported only when one of its values, or content in its format, is met: the packages that
define a value's class and bases say whose value it is. Knows no store.
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
"""By top-level package, the codec of its values; its `encode` returns None for those that it cannot hold exactly."""

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

_BY_KIND = {
    ("arrow", "pandas"): "pandas.decode",
    ("arrow", "polars"): "polars.decode",
    ("npy", "jax"): "jax.decode",
}
"""Formats that several packages share, by format and the package in the value's kind."""


_SHOWN = frozenset({"json", "bundle", "npy", "arrow"})
_OWN = "fairway.spec."


def warm() -> None:
    """Import the codecs of all frameworks in this process, so that no process forked from it has to."""
    for package, codec in _ENCODE.items():
        if package in sys.modules:
            _codec(codec)


def _codec(name: str) -> Any:
    return importlib.import_module(f"fairway.formats.{name}")


def _function(place: str) -> Callable[[Content, str], object]:
    codec, _, name = place.partition(".")
    return cast("Callable[[Content, str], object]", getattr(_codec(codec), name))


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
    """A pickle that holds what it needs of these modules. Raises SerializationError."""
    return cast("Encoded", _codec("pickled").encode(value, by_value=modules))


def reached(value: object) -> list[object]:
    """Every class, function and module that reading a pickle of a value would look up or make."""
    return cast("list[object]", _codec("pickled").reached(value))


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


def look(format: str, content: bytes | Path, kind: str = "") -> object:
    """The value of content that may be anybody's, for showing it: plain data, arrays, tables and our own records.

    Raises:
        SerializationError: it could run code, has no form that is shown, or cannot be read.
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
    return content.read_bytes() if isinstance(content, Path) else content


def _leaf(value: object) -> Encoded | None:
    """A value of a framework, or a user's file, in its own format; None when there is none."""
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
