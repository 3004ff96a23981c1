"""Wrappers that give boosters the interface of scikit-learn: a folder with the native model and the wrapper's state.

The state is kept as JSON. The framework alone can read the native file. This module knows only that a wrapper keeps
its state in its `__dict__`.
"""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from fairway.formats import bundle, numpy
from fairway.formats.encoded import Content, Encoded, kind_of
from fairway.formats.plain import NotPlain
from fairway.spec.errors import SerializationError

_STATE = "wrapper.json"


def encode(value: Any, format: str, state: dict[str, object], save: Callable[[Path], None]) -> Encoded | None:
    """Encode a wrapper as a folder.

    Args:
        value: the wrapper.
        format: the name of the format.
        state: the wrapper's attributes without the native model.
        save: writes the native model into a folder.

    Returns:
        the encoded wrapper; None when its state holds the user's code or large arrays.
    """
    state = {name: _plain(item) for name, item in state.items()}
    try:
        encoded = bundle.encode({"class": type(value).__name__, "state": state}, numpy.encode)
    except NotPlain:
        return None
    data = encoded.data
    if data is None:
        return None

    def folder(root: Path) -> None:
        save(root)
        (root / _STATE).write_bytes(data)

    return Encoded(
        format=format, kind=kind_of(value), note=type(value).__name__, folder=folder, refers=encoded.refers
    )


def decode(content: Content, module: Any, base: type) -> tuple[Any, Path]:
    """Return the wrapper without its native model, and the folder that holds the native model.

    Args:
        content: the folder.
        module: the framework's module that has the class.
        base: the class that every wrapper of the framework derives from.

    Raises:
        SerializationError: the content is not a folder, or its class is not a wrapper of the framework.
    """
    if not isinstance(content, Path) or not content.is_dir():
        raise SerializationError("a stored model should be a folder and is a file")
    stored: Any = bundle.decode(
        (content / _STATE).read_bytes(), lambda _, data, kind: numpy.decode(data), importing=False
    )
    cls: Any = getattr(module, stored["class"], None)
    if not _is_a(cls, base):
        raise SerializationError(
            f"a stored model is of the class {stored['class']}, which {module.__name__} does not have"
        )
    value: Any = cls.__new__(cls)
    value.__dict__.update(stored["state"])
    return value, content


def is_instance(value: object, base: type) -> bool:
    """Tell whether a value is an instance of a class, without changing the value's static type."""
    return isinstance(value, base)


def _is_a(cls: object, base: type) -> bool:
    """Tell whether an object is a class that derives from the base."""
    return isinstance(cls, type) and issubclass(cls, base)


def _plain(value: object) -> object:
    """Return a plain dict for a defaultdict, and any other value as it is."""
    if type(value) is defaultdict:
        items = cast(dict[object, object], value)
        return {key: _plain(item) for key, item in items.items()}
    return value
