"""The last resort: whatever cloudpickle can write. Reading it runs code, so only a trusting caller may.

Everything stored this way is visible as format "pickle". Knows no framework.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from fairway.formats import pickler
from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

_HINT = (
    "return plain values, arrays, tables or models; or write a file and return `fw.File(path)`, "
    "and open connections inside the task that uses them"
)


def encode(value: Any, *, portable: bool = False) -> Encoded:
    """Any value. Raises SerializationError naming the type when it cannot be pickled.

    A portable one carries the classes of the project that made it, to be read where those cannot be imported.
    """
    cloudpickle = load("cloudpickle")
    own = _project_of(cast("type[object]", type(value))) if portable else []
    try:
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        data, refers = pickler.dump(value)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SerializationError(
            f"a value of type {kind_of(value)} cannot be stored: {reason}", hint=_HINT
        ) from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
    return Encoded(format="pickle", kind=kind_of(value), note="pickled", data=data, refers=refers)


def _project_of(kind: type) -> list[ModuleType]:
    """The modules beside a class's own that are installed nowhere; none for a class that is."""
    import sysconfig

    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]

    def place(module: ModuleType | None) -> Path | None:
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or any(Path(file).is_relative_to(folder) for folder in installed):
            return None
        return Path(file).parent

    home = place(sys.modules.get(kind.__module__))
    if home is None:
        return []
    found = [(module, place(module)) for module in list(sys.modules.values())]
    return [module for module, folder in found if folder is not None and folder.is_relative_to(home)]


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
