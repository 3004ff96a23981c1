"""A pickler that also collects the code that a pickle names: classes, functions and modules that it holds no copy of.

This module knows no project. The caller decides which of these belong to the user.
"""

import functools
import io
from types import FunctionType, ModuleType
from typing import Any, cast

from fairway.formats.frameworks import load

_CODE = (type, FunctionType, ModuleType, type(functools.lru_cache(lambda: None)))


def dump(value: object) -> tuple[bytes, tuple[object, ...]]:
    """Pickle a value with cloudpickle.

    Returns:
        the pickle, and the code that the pickler met, each once.
    """
    target = io.BytesIO()
    pickler = _pickler()(target, protocol=5)
    met = pickler.met = dict[int, object]()
    pickler.dump(value)
    return target.getvalue(), tuple(met.values())


@functools.cache
def _pickler() -> Any:
    """Return the pickler class, made once."""
    cloudpickle = load("cloudpickle")
    # The method is looked up once, because it is called for every object in the value.
    override: Any = cloudpickle.Pickler.reducer_override

    class Pickler(cloudpickle.Pickler):
        """A pickler that notes every class and function that it writes, by name or as a whole."""

        met: dict[int, object]

        def reducer_override(self, obj: object) -> object:
            kind = cast("object", type(obj))
            self.met[id(kind)] = kind
            if isinstance(obj, _CODE):
                self.met[id(cast("object", obj))] = obj
            return override(self, obj)

    return Pickler
