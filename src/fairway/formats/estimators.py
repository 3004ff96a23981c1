"""Boosters in scikit-learn's clothes: a folder with the native model file, and the wrapper's state as JSON.

The native file can be read by the framework alone. Knows only that a wrapper keeps its state in its
`__dict__`.
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
    """A wrapper whose native model `save` writes into a folder; None when its state holds the user's code."""
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
    """The wrapper without its native model, and the folder in which that is."""
    if not isinstance(content, Path) or not content.is_dir():
        raise SerializationError("a stored model is not the folder it should be")
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
    """`isinstance` that leaves the value's static type alone."""
    return isinstance(value, base)


def _is_a(cls: object, base: type) -> bool:
    return isinstance(cls, type) and issubclass(cls, base)


def _plain(value: object) -> object:
    if type(value) is defaultdict:
        items = cast(dict[object, object], value)
        return {key: _plain(item) for key, item in items.items()}
    return value
