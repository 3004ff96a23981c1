"""The one place that imports frameworks. They are imported inside functions, when one of their values occurs.

Frameworks come without usable types, so their modules are typed as `Any`. This module names only the frameworks whose
distribution has another name than their package.
"""

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_NAMES = {
    "sklearn": "scikit-learn",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "torch": "PyTorch",
    "keras": "Keras",
    "onnx": "ONNX",
}
_INSTALL = {"sklearn": "scikit-learn", "xgboost": "xgboost-cpu"}


_OTHERS = ("torch", "cupy", "dask", "jax")
"""Frameworks that skops would import as it walks through all of scikit-learn. This takes seconds and half a GiB."""


def load(name: str) -> Any:
    """Import a module of a framework. Raises ImportError when it is not installed."""
    found = sys.modules.get(name)
    if found is not None:
        return found
    if not name.startswith("skops"):
        return importlib.import_module(name)
    unseen = _Unseen()
    sys.meta_path.insert(0, unseen)
    try:
        return importlib.import_module(name)
    finally:
        sys.meta_path.remove(unseen)


class _Unseen:
    """A finder that hides other frameworks, unless they are loaded already."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> None:
        if fullname in _OTHERS:
            raise ModuleNotFoundError(f"{fullname} is not wanted now", name=fullname)


def install_hint(name: str) -> str:
    """Return the command that installs the package with that module."""
    root = name.partition(".")[0]
    return f"`pip install {_INSTALL.get(root, root)}`"


def framework_name(root: str) -> str:
    """Return name and version of a loaded framework for people, such as "scikit-learn 1.9.1".

    The name is empty for an unknown framework.
    """
    if root not in _NAMES or root not in sys.modules:
        return ""
    return f"{_NAMES[root]} {getattr(sys.modules[root], '__version__', '')}".strip()
