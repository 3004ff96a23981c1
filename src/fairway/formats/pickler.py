"""A pickle together with the code that it names: classes, functions and modules of which it holds no copy.

Knows no project: the caller decides which of these are the user's own.
"""

import functools
import io
from types import FunctionType, ModuleType
from typing import Any, cast

from fairway.formats.frameworks import load

_CODE = (type, FunctionType, ModuleType, type(functools.lru_cache(lambda: None)))


def dump(value: object) -> tuple[bytes, tuple[object, ...]]:
    """The value as cloudpickle writes it, and the code that it met on the way, each once."""
    target = io.BytesIO()
    pickler = _pickler()(target, protocol=5)
    met = pickler.met = dict[int, object]()
    pickler.dump(value)
    return target.getvalue(), tuple(met.values())


@functools.cache
def _pickler() -> Any:
    cloudpickle = load("cloudpickle")
    # Looked up once: this is called for every object in the value.
    override: Any = cloudpickle.Pickler.reducer_override

    class Pickler(cloudpickle.Pickler):
        """Notes every class and function that passes; both those written by name and those written whole."""

        met: dict[int, object]

        def reducer_override(self, obj: object) -> object:
            kind = cast("object", type(obj))
            self.met[id(kind)] = kind
            if isinstance(obj, _CODE):
                self.met[id(cast("object", obj))] = obj
            return override(self, obj)

    return Pickler
