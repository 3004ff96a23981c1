"""The place of a project file: the name under which it is imported, the folders of its modules, and its store.

Every command uses this module before it loads anything else, so this file imports almost nothing. It reads the text of a project
file only if the path does not say enough. It never imports the project.
"""

import os
import sys

from fairway.spec.errors import NotFound, UsageError

STORE = ".fairway"
_PROJECT = "pyproject.toml"
_SOURCES = "src"
_INSTALLED = ("site-packages", "dist-packages")
_Import = tuple[int, str, tuple[str, ...]]


class Place:
    """The place of a project file.

    Attributes:
        file: its path.
        module: the name under which it is imported, such as "shop.flow".
        roots: the folders from which its modules are imported. The first contains the topmost package of the file itself.
    """

    __slots__ = ("file", "module", "roots")

    def __init__(self, file: str, module: str, roots: list[str]) -> None:
        self.file = file
        self.module = module
        self.roots = roots


def absolute(path: str) -> str:
    """Make a path absolute as `pathlib` does. `..` and links stay, because `..` behind a link leads elsewhere."""
    parts = os.path.join(os.getcwd(), path).split("/")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def find(word: str) -> tuple[str, str]:
    """Return the file for a word of the command line, and the name of the module if the word is one.

    Args:
        word: a path, or a dotted name such as "shop.flow".

    Raises:
        NotFound: there is no such file or module.
        UsageError: the word is a folder or a notebook.
    """
    path = absolute(word)
    if path.endswith(".ipynb"):
        raise UsageError(
            f"{word} is a notebook",
            hint="run its pipeline there: `fw.run(PIPELINE)`, or move it to a .py file",
        )
    if os.path.isfile(path):
        return os.path.realpath(path), ""
    if not word.endswith(".py") and all(part.isidentifier() for part in word.split(".")):
        found = _module_here(word.split("."))
        if found:
            return found, word
    if os.path.isdir(path):
        return _in_folder(os.path.realpath(path), word), ""
    where = "" if word.startswith("/") else f" in {os.getcwd()}"
    raise NotFound(f"there is no file {word}{where}", hint=_instead(word, path))


def locate(file: str, module: str = "", end: str = "") -> Place:
    """Return the place of a project file.

    Args:
        file: its absolute path.
        module: the name under which the caller has imported it. It counts if the path of the file fits the name.
        end: the root of the project, if it is known.
    """
    top = _top_by_name(file, module) if module else ""
    link = os.path.dirname(file) if os.path.islink(file) and not top else ""
    if not top:
        file = os.path.realpath(file)
    folder, imports = os.path.dirname(file), _imports(file)
    beside = any(not level and _holds(folder, name.partition(".")[0]) for level, name, _ in imports)
    if not top:
        top = _top_by_text(file, imports, beside=beside)
    roots = [top]
    if beside and top != folder:
        roots.append(folder)
    roots += [root for root in _further(folder, imports, end) if root not in roots]
    if link and link not in roots:
        roots.append(link)
    return Place(file, module_name(file, top), roots)


def locate_copy(folder: str, path: str) -> Place:
    """Return the place of a project file in a copy of its project. A copy has no files that mark a root.

    Args:
        folder: the folder of the copy.
        path: the file in it, such as "shop/flow.py".
    """
    return locate(os.path.join(folder, path), module_name(path, ""), folder)


def copied_folder(place: Place) -> str:
    """Return the folder that a copy of the project must contain: the one with all its roots."""
    outer = os.path.commonpath(place.roots)
    return outer if outer in place.roots else place.roots[0]


def project_folder(place: Place) -> str:
    """Return the folder of the whole project: the nearest one with a `pyproject.toml` around all roots, or that of the roots."""
    outer = os.path.commonpath(place.roots)
    home = os.environ.get("HOME", "")
    for folder in upwards(outer):
        if os.path.exists(os.path.join(folder, _PROJECT)) and (folder != home or folder == outer):
            return folder
    return os.path.dirname(outer) if os.path.basename(outer) == _SOURCES else outer


def imported_files(file: str, roots: list[str]) -> list[str]:
    """Return the files that a file imports from some folders, as far as its text tells."""
    found: dict[str, None] = {}
    for level, module, taken in _imports(file):
        above = os.path.dirname(file)
        for _ in range(level - 1):
            above = os.path.dirname(above)
        parts = [part for part in module.split(".") if part]
        for root in [above] if level else roots:
            places = [
                os.path.join(root, *parts[:count]) for count in range(0 if level else 1, len(parts) + 1)
            ]
            places += [os.path.join(places[-1], name) for name in taken] if places else []
            for stem in places:
                for path in (f"{stem}.py", os.path.join(stem, "__init__.py")):
                    if os.path.isfile(path):
                        found[path] = None
    return list(found)


def module_name(file: str, top: str) -> str:
    """Return the dotted name of a file that is imported from the folder `top`."""
    stem = file.removeprefix(f"{top}/").removesuffix(".py")
    if stem == "__init__":  # the folder is itself the topmost package
        return stem
    return stem.removesuffix("/__init__").replace("/", ".")


def store_of(file: str, module: str = "") -> str:
    """Return the folder of the store of a project file. The working directory does not matter."""
    return _store_upwards(os.path.dirname(file)) or _in_top(locate(file, module).roots[0])


def store_from(folder: str) -> str:
    """Return the folder of the store of the project that contains a folder."""
    return _store_upwards(folder) or _in_top(_above_package(folder))


def _store_upwards(start: str) -> str:
    """Return the nearest store from a folder upwards, or the place for one beside the nearest `pyproject.toml`."""
    home = os.environ.get("HOME", "")
    for folder in upwards(start):
        place = os.path.join(folder, STORE)
        if os.path.exists(os.path.join(place, "store.json")):
            return place
        if os.path.exists(os.path.join(folder, _PROJECT)) and (folder != home or folder == start):
            return place
    return ""


def _in_top(top: str) -> str:
    return os.path.join(os.path.dirname(top) if os.path.basename(top) == _SOURCES else top, STORE)


def upwards(folder: str) -> list[str]:
    """Return a folder and those above it, up to the root of a repository or the home folder."""
    found: list[str] = []
    home = os.environ.get("HOME", "")
    while folder not in found:
        found.append(folder)
        if folder == home or os.path.exists(os.path.join(folder, ".git")):
            break
        folder = os.path.dirname(folder)
    return found


def settings_file(folder: str) -> tuple[str, bytes]:
    """Return path and content of the nearest `pyproject.toml` from a folder upwards; empty without one."""
    for place in upwards(folder):
        path = os.path.join(place, _PROJECT)
        try:
            with open(path, "rb") as stream:
                return path, stream.read()
        except OSError:
            continue
    return "", b""


def may_name_target(folder: str) -> bool:
    """Return true if the project of a folder may have a target of its own. TOML is not read for that."""
    _, data = settings_file(folder)
    return b"target" in data and b"fairway" in data


def _above_package(folder: str) -> str:
    """Return the folder that contains the topmost package of a folder. The root of a project is not a package."""
    while (
        os.path.isfile(os.path.join(folder, "__init__.py"))
        and os.path.basename(folder).isidentifier()
        and not os.path.exists(os.path.join(folder, _PROJECT))
        and not os.path.exists(os.path.join(folder, ".git"))
    ):
        folder = os.path.dirname(folder)
    return folder


def _top_by_name(file: str, module: str) -> str:
    """Return the folder from which a module is imported; empty if the path of the file does not fit the name."""
    stem = file.removesuffix(".py")
    if os.path.basename(file) == "__init__.py":
        stem = os.path.dirname(file)
    ending = "/" + module.replace(".", "/")
    return (stem.removesuffix(ending) or "/") if stem.endswith(ending) else ""


def _top_by_text(file: str, imports: list[_Import], *, beside: bool) -> str:
    """Return the folder from which a file is imported, found by its packages and its import statements.

    A folder without `__init__.py` counts as a package if the file has relative imports, or imports a module of that folder by
    the name of the folder.
    """
    folder = os.path.dirname(file)
    tops: list[str] = []
    outer = folder
    for above in upwards(folder):
        name = os.path.basename(above)
        if name.isidentifier() and any(
            not level and _names(above, name, module, taken) for level, module, taken in imports
        ):
            tops.append(os.path.dirname(above))
    for _ in range(max((level for level, _, _ in imports), default=0)):
        outer = os.path.dirname(outer)
    if outer != folder:
        tops.append(outer)
    if tops or not beside or os.path.basename(file) == "__init__.py":
        tops.append(_above_package(folder))
    return min(tops or [folder], key=len)


def _names(folder: str, own: str, module: str, taken: tuple[str, ...]) -> bool:
    """Return true if an import names something in this folder by the name of the folder."""
    top, _, rest = module.partition(".")
    if top != own:
        return False
    below = [rest.partition(".")[0]] if rest else list(taken)
    return any(_holds(folder, name) for name in below)


def _further(folder: str, imports: list[_Import], end: str) -> list[str]:
    """Return the folders of the project above the file that contain modules which it imports."""
    above = upwards(folder)
    ends = [
        place
        for place in above
        if place == end or any(os.path.exists(f"{place}/{mark}") for mark in (_PROJECT, ".git"))
    ]
    wanted = {name.partition(".")[0] for level, name, _ in imports if not level}
    wanted = {name for name in wanted if name not in sys.stdlib_module_names and not _holds(folder, name)}
    if not ends or not wanted:
        return []
    places = above[: above.index(ends[0]) + 1]
    roots = [root for place in places for root in (place, os.path.join(place, _SOURCES))]
    return [root for root in roots if root != folder and any(_holds(root, name) for name in wanted)]


def _holds(folder: str, name: str) -> bool:
    """Return true if a folder contains a module or package with this name. A folder without Python files is not a package."""
    if not name:
        return False
    path = os.path.join(folder, name)
    if os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py")):
        return True
    try:
        return any(entry.endswith(".py") for entry in os.listdir(path))
    except OSError:
        return False


def _imports(file: str) -> list[_Import]:
    """Return the import statements of a file: the dots before the module, the module, and the names from it."""
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            lines = iter(stream.read(1 << 20).splitlines())
    except OSError:
        return []
    found: list[_Import] = []
    for line in lines:
        words = line.split(None, 1)
        if len(words) < 2 or words[0] not in ("import", "from"):
            continue
        rest = words[1].partition("#")[0]
        if words[0] == "import":
            names = [part.split()[0] for part in rest.split(",") if part.split()]
            found += [(0, name, ()) for name in names]
            continue
        module, _, taken = rest.replace("\t", " ").partition(" import ")
        while "(" in taken and ")" not in taken:
            more = next(lines, ")")
            taken += f" {more.partition('#')[0]}"
        module = module.strip()
        name = module.lstrip(".")
        parts = taken.strip("() ").split(",")
        found.append(
            (
                len(module) - len(name),
                name,
                tuple(part.split()[0].strip("()") for part in parts if part.split()),
            )
        )
    return found


def _module_here(parts: list[str]) -> str:
    """Return the file of a module of this project, or of an editable installation."""
    places = [root for place in upwards(os.getcwd()) for root in (place, os.path.join(place, _SOURCES))]
    places += [
        place for place in sys.path if os.path.basename(place) not in _INSTALLED and os.path.isabs(place)
    ]
    for place in places:
        file = _module_file(os.path.join(place, *parts))
        if file and not file.startswith(os.path.dirname(os.__file__) + "/"):
            return os.path.join(os.path.realpath(place), file[len(place.rstrip("/")) + 1 :])
    return ""


def _module_file(stem: str) -> str:
    """Return the file of a module by its path without the ending. For a package, return the file that declares something."""
    for file in (f"{stem}/__main__.py", f"{stem}/__init__.py"):
        if _declares(file):
            return file
    return f"{stem}.py" if os.path.isfile(f"{stem}.py") else ""


def _in_folder(folder: str, word: str) -> str:
    """Return the file that runs for a folder. Raises UsageError if there is none."""
    for name in ("__main__.py", "__init__.py"):
        file = os.path.join(folder, name)
        if _declares(file):
            return file
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    except OSError:
        names = []
    files = [name for name in names if _declares(os.path.join(folder, name))]
    named = " or ".join(f"`{os.path.join(word, name)}`" for name in files[:3])
    raise UsageError(f"{word} is a folder", hint=f"name a file in it: {named or '`FOLDER/FILE.py`'}")


def _declares(file: str) -> bool:
    """Return true if the text of a file looks like a project file."""
    try:
        with open(file, "rb") as stream:
            text = stream.read(1 << 20)
    except OSError:
        return False
    lines = [line for line in text.splitlines() if line.startswith(b"@")]
    return any(b"pipeline" in line or b"endpoint" in line for line in lines)


def _instead(word: str, path: str) -> str:
    """Return what to type instead of a word that is not a module name."""
    if os.path.isfile(f"{path}.py"):
        return f"it is a file: `{word}.py`"
    if "/" not in word and not word.endswith(".py") and "." in word:
        return f"nor is there a module {word} in {os.getcwd()}: go to the project's folder, or name the file"
    here, name = os.getcwd(), os.path.basename(path)
    for folder in upwards(here)[1:]:
        if os.path.isfile(os.path.join(folder, word)):
            return f"it lies in {folder}: `{os.path.join(folder, word)}`"
        if os.path.isfile(os.path.join(folder, name)):
            return f"there is one in {folder}: `{os.path.join(folder, name)}`"
    return "`fairway init` writes a project to start from"
