"""Hands a pipeline or endpoint that this process declared to a host: by its file and module, or else as a pickle."""

import inspect
import os
import sys
import tempfile

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def origin(function: object, path: str = "") -> tuple[str, str]:
    """File and module name of a function or class; both empty for one of a notebook.

    Args:
        path: its file, where that is known without its module.

    The module's name is empty for a file that was run as a script: what it is imported under is read from its place.
    """
    name = str(getattr(function, "__module__", ""))
    if name != "__main__":
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and os.path.isfile(file):
            return os.path.abspath(file), name
    compiled = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    path = path or getattr(compiled, "co_filename", "")
    if not path.endswith(".py") or not os.path.isfile(path):
        return "", ""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    ran_by_name = name == "__main__" and getattr(spec, "origin", None) == path
    return os.path.abspath(path), str(getattr(spec, "name", "")) if ran_by_name else ""


def caller() -> str:
    """File of the code that called Fairway; empty in a notebook."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    path = frame.f_code.co_filename if frame is not None else ""
    return os.path.abspath(path) if path.endswith(".py") and os.path.isfile(path) else ""


def pickle(pipeline: object, folder: str) -> str:
    """Write a pipeline of a notebook to a file in the folder; returns its path."""
    import cloudpickle

    with tempfile.NamedTemporaryFile(dir=folder, prefix="notebook-", suffix=".pickle", delete=False) as file:
        file.write(cloudpickle.dumps(pipeline))  # pyright: ignore[reportUnknownMemberType]
    return file.name
