"""The installed distributions: all of them for the record of a run, and those behind modules, with what they require.

Only the metadata on disk are read, and none of a distribution that is not reached. This module imports nothing of them.
"""

import os
import platform
import re
import sys
from collections.abc import Collection
from functools import cache

_INFO = ".dist-info"
_CPU_LIST = "/proc/cpuinfo"
_LOOKED_AT = 2048
"""The bytes of the list of processors that are read, because the first one stands for all."""

_ALIASES = {
    "bs4": "beautifulsoup4", "cv2": "opencv_python", "dateutil": "python_dateutil", "fairway": "fairway_ml", "PIL": "pillow",
    "skimage": "scikit_image", "sklearn": "scikit_learn", "yaml": "pyyaml",
}  # fmt: skip
"""Distributions with another name than their module. They are looked for first. Any other one is found by its files."""

_OWN = "fairway_ml"
_SHORT, _HEAD = 1 << 13, 1 << 18
"""The bytes of a description that are read at first, and when its fields are longer."""

_TOOL_TOPICS = (
    b"Software Development :: Testing", b"Quality Assurance", b"Topic :: Documentation", b":: Build Tools", b":: Debuggers",
    b"Framework :: Pytest", b"Framework :: Sphinx", b"Framework :: IPython", b"Framework :: Jupyter",
)  # fmt: skip
_TOOLS = re.compile(
    r"(pytest|sphinx|types|jupyter|ipy|mypy|pyright|ruff|black|isort|cython|meson|ninja|pip|setuptools|wheel|build|tox|nox)(_.*)?"
)
"""Distributions that people work with, and that no result depends on."""

_REQUIRES = re.compile(rb"^Requires-Dist:\s*([A-Za-z0-9._-]+)(.*)$", re.MULTILINE)


def listed() -> str:
    """Return the interpreter's version, the machine's architecture and the installed distributions, one a line."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            entries = [name for name in os.listdir(folder) if name.endswith(_INFO)]
        except OSError:
            continue
        # Where a package is in two folders, Python imports the one of the first.
        for entry in entries:
            found.setdefault(entry.removesuffix(_INFO).rpartition("-")[0].lower(), entry)
    return "\n".join([platform.python_version(), platform.machine(), *sorted(found.values())])


def machine() -> str:
    """Return the machine for people: system, architecture, processor and number of cores."""
    try:
        with open(_CPU_LIST, encoding="utf-8", errors="replace") as file:
            lines = file.read(_LOOKED_AT).split("\n")
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    named = f", {model}" if model else ""
    return f"{platform.system()} {platform.machine()}{named}, {os.cpu_count()} cores"


def versions(roots: Collection[str]) -> dict[str, str] | None:
    """Return the version by name of the distributions of some modules, and of all that these require.

    What the distribution of a module can use without requiring it counts too if it is installed, except for tools such as test
    runners.

    Args:
        roots: topmost packages, such as "sklearn".

    Returns:
        the versions, with those of Python and the machine; None if a module belongs to no distribution.
    """
    installed = _installed()
    direct: list[str] = []
    for root in roots:
        found = _named(root, installed) or _by_files(root, installed)
        if not found:
            return None
        # What Fairway itself requires changes no result of the project's code.
        direct += [name for name in found if name != _OWN]
    todo = [*direct, *(other for name in direct for other in _required(name, installed, optional=True))]
    reached: dict[str, str] = {_OWN: installed[_OWN][1]} if _OWN in installed and "fairway" in roots else {}
    while todo:
        name = todo.pop()
        if name not in reached:
            reached[name] = installed[name][1]
            todo += _required(name, installed, optional=False)
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        **dict(sorted(reached.items())),
    }


@cache
def _installed() -> dict[str, tuple[str, str]]:
    """Return folder and version of each installed distribution by its normal name. The first one on the path counts."""
    found: dict[str, tuple[str, str]] = {}
    for folder in sys.path:
        try:
            listed = os.listdir(folder)
        except OSError:
            continue
        for entry in listed:
            if entry.endswith(_INFO):
                name, _, version = entry.removesuffix(_INFO).rpartition("-")
                found.setdefault(_normal(name), (os.path.join(folder, entry), version))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _named(root: str, installed: dict[str, tuple[str, str]]) -> list[str]:
    names = [_ALIASES.get(root, ""), _normal(root)]
    return [name for name in names if name in installed][:1]


def _by_files(root: str, installed: dict[str, tuple[str, str]]) -> list[str]:
    """Return every distribution that has files of a module. Several may share a namespace."""
    return [name for name, (folder, _) in installed.items() if _holds(root, folder)]


def _holds(root: str, folder: str) -> bool:
    """Tell whether a distribution has files of a module, by the list of its files."""
    listed = _read(os.path.join(folder, "RECORD"), -1)
    word = root.encode()
    return (
        any(
            listed.startswith(word + end) or b"\n" + word + end in listed
            for end in (b"/", b".py,", b".cpython", b".abi3")
        )
        or word in _read(os.path.join(folder, "top_level.txt"), _HEAD).split()
    )


@cache
def _head(folder: str) -> bytes:
    """Return the fields of the metadata of a distribution, without its description."""
    path = os.path.join(folder, "METADATA")
    data = _read(path, _SHORT)
    if len(data) == _SHORT and b"\n\n" not in data:
        data = _read(path, _HEAD)
    return data.partition(b"\n\n")[0]


def _required(name: str, installed: dict[str, tuple[str, str]], *, optional: bool) -> list[str]:
    """Return the installed distributions that one requires, or those that it can use beside them."""
    found: list[str] = []
    for match in _REQUIRES.finditer(_head(installed[name][0])):
        if (b"extra" in match[2]) is optional:
            other = _normal(match[1].decode())
            if other in installed and not (optional and _is_tool(other, installed[other][0])):
                found.append(other)
    return found


def _is_tool(name: str, folder: str) -> bool:
    return bool(_TOOLS.fullmatch(name)) or any(topic in _head(folder) for topic in _TOOL_TOPICS)


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(most)
    except OSError:
        return b""
