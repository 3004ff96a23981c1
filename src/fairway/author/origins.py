"""The ways to hand a pipeline or endpoint of this process to a host: by file and module, or as a pickle."""

import inspect
import os
import sys
import tempfile

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def origin(function: object, path: str = "") -> tuple[str, str]:
    """Return the file and the module name of a function or class. Both are empty for one of a notebook.

    The module name is also empty for a file that was run as a script. The host derives it from the file's place.

    Args:
        function: the function or class.
        path: its file, if the caller knows it.
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
    """Return the file of the code that called Fairway, or an empty text for a notebook."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    path = frame.f_code.co_filename if frame is not None else ""
    return os.path.abspath(path) if path.endswith(".py") and os.path.isfile(path) else ""


def pickle(pipeline: object, folder: str) -> str:
    """Write a pipeline of a notebook to a new file in the folder, and return the file's path."""
    import cloudpickle

    with tempfile.NamedTemporaryFile(dir=folder, prefix="notebook-", suffix=".pickle", delete=False) as file:
        file.write(cloudpickle.dumps(pipeline))  # pyright: ignore[reportUnknownMemberType]
    return file.name
