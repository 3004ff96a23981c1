"""Random numbers that every attempt and every run of a step repeats, and that no other step draws.

Without them, all children of one host would draw the same numbers, and a host of another run would draw others.
"""

import hashlib
import random
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NUMPYS = "numpy.random"


def seed(step: str) -> None:
    """Let the generators of Python and NumPy begin at a place that follows from the name of a step."""
    number = int.from_bytes(hashlib.sha256(step.encode()).digest()[:4], "big")
    random.seed(number)
    for finder in [one for one in sys.meta_path if isinstance(one, _Later)]:
        sys.meta_path.remove(finder)
    loaded: Any = sys.modules.get(_NUMPYS)
    if loaded is not None:
        loaded.seed(number)
    else:
        # NumPy loads it at its first use, which most steps never come to.
        sys.meta_path.insert(0, _Later(number))


class _Later:
    """A finder of modules that finds NumPy's generator where others find it, and seeds it when it is loaded."""

    def __init__(self, number: int) -> None:
        self._number = number

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return how the generator is loaded and seeded. Leave all other modules to other finders."""
        if name != _NUMPYS:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            found = finder.find_spec(name, path, target)
            if found is not None:
                self._seed_after(found.loader)
                return found
        return None

    def _seed_after(self, loader: Any) -> None:
        load = loader.exec_module

        def load_and_seed(module: Any) -> None:
            load(module)
            module.seed(self._number)

        loader.exec_module = load_and_seed
