"""The last resort: whatever cloudpickle can write. Reading it runs code, so only a trusting caller may.

Everything stored this way is visible as format "pickle". Knows no framework.
"""

from collections.abc import Sequence
from types import MethodType, ModuleType
from typing import Any

from fairway.formats import pickler
from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError


def encode(value: Any, *, by_value: Sequence[ModuleType] = ()) -> Encoded:
    """Any value. Raises SerializationError naming the type when it cannot be pickled.

    Classes and functions of the modules in `by_value` are written whole, to be read where those cannot be imported. They
    do not keep the place of their file, which is not there either.
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
    """Every class, function and module that reading a pickle of a value would look up or make.

    Raises:
        SerializationError: it cannot be pickled.
    """
    found: dict[int, object] = {}

    base: Any = load("cloudpickle").Pickler

    class Walk(base):
        def reducer_override(self, item: Any) -> Any:
            met = _named(item)
            found.setdefault(id(met), met)
            return base.reducer_override(self, item)

    class Nowhere:
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
    """The item itself where a pickle may only name it, such as a cached function; otherwise its class."""
    if isinstance(item, ModuleType):
        return item
    bound = isinstance(item, MethodType)
    return item if hasattr(item, "__qualname__") and not bound else type(item)  # pyright: ignore[reportUnknownVariableType]


def _unwritten(value: object, error: Exception) -> SerializationError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SerializationError(
        f"a value of type {kind_of(value)} cannot be stored: {reason}",
        hint="return plain values, arrays, tables or models; or write a file and return `fw.File(path)`, "
        "and open connections inside the task that uses them",
    )


def refuse(value: Any) -> SerializationError:
    """The error for a value that only pickle can hold where pickle is not allowed."""
    return SerializationError(
        f"a value of type {kind_of(value)} can only be stored as a pickle, which is not allowed here",
        hint="use a type with a format of its own: plain values, arrays, tables, models, `fw.File`",
    )


def decode(content: Content, kind: str = "") -> object:
    """The value. Runs code in the content: the caller has decided to trust it."""
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
