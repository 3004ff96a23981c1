"""Pickles, the format for values that no other format can hold. Reading one runs code.

Only a caller that trusts the content may read it. Everything stored this way is visible by its format "pickle". This
module knows no framework.
"""

from collections.abc import Sequence
from types import MethodType, ModuleType
from typing import Any

from fairway.formats import pickler
from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError


def encode(value: Any, *, by_value: Sequence[ModuleType] = ()) -> Encoded:
    """Encode any value that cloudpickle can write.

    Classes and functions of the modules in `by_value` are written as a whole, for readers that cannot import these
    modules. They do not keep the path of their file, because the reader does not have that file either.

    Raises:
        SerializationError: the value cannot be pickled. The message names its type.
    """
    cloudpickle = load("cloudpickle")
    own: list[ModuleType] = []
    places: list[object] = []
    try:
        for module in by_value:
            cloudpickle.register_pickle_by_value(module)
            own.append(module)
            places.append(vars(module).pop("__file__", None))
        data, refers = pickler.dump(value)
    except Exception as error:
        raise _unwritten(value, error) from error
    finally:
        for module, place in zip(own, places, strict=False):
            cloudpickle.unregister_pickle_by_value(module)
            vars(module)["__file__"] = place
    return Encoded(format="pickle", kind=kind_of(value), note="pickled", data=data, refers=refers)


def reached(value: Any) -> list[object]:
    """Return every class, function and module that a reader of the value's pickle would look up or make.

    Raises:
        SerializationError: the value cannot be pickled.
    """
    found: dict[int, object] = {}

    base: Any = load("cloudpickle").Pickler

    class Walk(base):
        """A pickler that notes every class, function and module on its way."""

        def reducer_override(self, item: Any) -> Any:
            met = _named(item)
            found.setdefault(id(met), met)
            return base.reducer_override(self, item)

    class Nowhere:
        """A file that keeps nothing."""

        def write(self, data: Any) -> int:
            return len(data)

    def left_out(buffer: object) -> None:
        """Copy no large array."""

    try:
        Walk(Nowhere(), protocol=5, buffer_callback=left_out).dump(value)
    except Exception as error:
        raise _unwritten(value, error) from error
    return list(found.values())


def _named(item: object) -> object:
    """Return the item itself if a pickle may name it, such as a cached function, and its class otherwise."""
    if isinstance(item, ModuleType):
        return item
    bound = isinstance(item, MethodType)
    return item if hasattr(item, "__qualname__") and not bound else type(item)  # pyright: ignore[reportUnknownVariableType]


def _unwritten(value: object, error: Exception) -> SerializationError:
    """Return the error for a value that cannot be pickled."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return SerializationError(
        f"a value of type {kind_of(value)} cannot be stored: {reason}",
        hint="return plain values, arrays, tables or models; or write a file and return `fw.File(path)`, "
        "and open connections inside the task that uses them",
    )


def refuse(value: Any) -> SerializationError:
    """Return the error for a value that only pickle can hold, for a caller that does not allow pickle."""
    return SerializationError(
        f"a value of type {kind_of(value)} can only be stored as a pickle, which is not allowed here",
        hint="use a type with a format of its own: plain values, arrays, tables, models, `fw.File`",
    )


def decode(content: Content, kind: str = "") -> object:
    """Return the value. This runs code from the content, so the caller must trust it."""
    import pickle

    try:
        return pickle.loads(as_bytes(content))
    except (ImportError, AttributeError) as error:
        raise SerializationError(
            f"a stored value of type {kind or 'unknown'} cannot be read: {error}",
            hint="keep the code of its class where it was, or run the step that made the value again",
        ) from error
    except Exception as error:
        raise SerializationError(
            f"a stored value of type {kind or 'unknown'} cannot be read: {type(error).__name__}: {error}",
            hint="run the step that made it again with the packages installed now",
        ) from error
