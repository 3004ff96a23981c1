"""The start of Python in a pod: this file is `sitecustomize` in an image of Fairway, on `PYTHONPATH` alone in its folder.

It puts the project's packages before those of the base image, and Fairway and what Fairway needs after everything else. So
user code gets its own versions, and it works for a Python in any place of any base image. It knows nothing of Fairway, and
a `sitecustomize` of the base image or of the project is carried out afterwards.
"""

import os
import site
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(_HERE)
_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def _join() -> None:
    """Put the folders of the image on the path of imports.

    Their name tells every tool, and Fairway itself, that these are installed packages and not the project's own code.
    """
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != _HERE]
    packages = os.path.join(_ROOT, "env", _PYTHON, "site-packages")
    if os.path.isdir(packages):
        old = list(sys.path)
        # A call, and not a mere entry, because packages may bring `.pth` files.
        site.addsitedir(packages)
        new = [path for path in sys.path if path not in old]
        sys.path[:] = old
        sys.path[_first_packages() : _first_packages()] = new
    for folder in (os.path.join(_ROOT, "lib", _PYTHON, "site-packages"), os.path.join(_ROOT, "own")):
        if os.path.isdir(folder):
            sys.path.append(folder)


def _first_packages() -> int:
    """Return the place of the first folder of installed packages."""
    known = {*site.getsitepackages(), site.getusersitepackages()}
    return next((place for place, path in enumerate(sys.path) if path in known), len(sys.path))


def _go_on() -> None:
    """Import the next `sitecustomize`, which this one hides."""
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # pyright: ignore  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if own is not None:
            sys.modules.setdefault("sitecustomize", own)


if __name__ == "sitecustomize":
    _join()
    _go_on()
