"""The project's source files that travel with a model, and the modules made from them.

A process that serves a single model takes them as its own modules. In a process with a project, they are kept apart
from the project's modules of the same names, so that each model computes with the code it was registered with. This
module knows neither stores nor formats of models. It runs code, so its callers must trust the origin of the content.
"""

import builtins
import importlib
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import resolve_name, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Never

_lock = threading.RLock()
_entered: "list[Bundle]" = []
_bundles: "dict[str, Bundle]" = {}
_staying: set[str] = set()


@contextmanager
def modules_of(digest: str, folder: Path, *, alone: bool) -> Generator[None, None]:
    """Let names of modules mean the carried modules within this context.

    Args:
        digest: the digest of the folder. The same files become modules only once in a process.
        folder: the files, such as `shop/features.py` for the module `shop.features`.
        alone: True when the process serves this model only and has no project, so that the modules may stay.
    """
    bundle = _bundles.get(digest)
    if bundle is None:
        bundle = _bundles.setdefault(digest, Bundle(folder))
    if alone and bundle.stay():
        yield
        return
    if bundle.is_the_project():
        yield
        return
    with bundle.entered():
        yield


class Bundle:
    """The source files that travel with one model, as modules."""

    def __init__(self, folder: Path) -> None:
        self.files = {_module_name(path.relative_to(folder)): path for path in sorted(folder.rglob("*.py"))}
        self.folders = {
            ".".join(path.relative_to(folder).parts): path for path in folder.rglob("*") if path.is_dir()
        }
        self.roots = frozenset(name.partition(".")[0] for name in self.files)
        self._modules: dict[str, ModuleType] = {}
        self._finder = _Finder(self)
        self._stays = False
        self._same: bool | None = None

    def stay(self) -> bool:
        """Make the files modules of this process for good.

        Returns:
            False when the process has other modules with these names.
        """
        with _lock:
            taken = [*sys.modules, *_staying]
            if not self._stays and not self._modules and self.roots.isdisjoint(taken):
                self._stays = True
                _staying.update(self.roots)
                sys.meta_path.insert(0, self._finder)
            return self._stays

    def is_the_project(self) -> bool:
        """Tell whether the process has all these modules already, made from the same sources."""
        with _lock:
            if self._same is None:
                self._same = all(_is_theirs(name, path) for name, path in self.files.items())
            return self._same

    @contextmanager
    def entered(self) -> Generator[None, None]:
        """Put the carried modules in the place of the process's own of the same names, for this thread."""
        with _lock:
            if _entered and _entered[-1] is self:
                yield
                return
            ordinary = builtins.__import__
            hidden = self._take()
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, self._finder)
            # Another thread that imports one of these names now must not get a carried module, so it waits.
            builtins.__import__ = self._waiting(ordinary, threading.get_ident())
            _entered.append(self)
            try:
                yield
            finally:
                _entered.pop()
                builtins.__import__ = ordinary
                sys.meta_path.remove(self._finder)
                self._modules |= self._take()
                sys.modules.update(hidden)

    def imported(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import a module as `__import__` does, and prefer the carried modules."""
        wanted = _absolute(name, globals, level)
        if wanted.partition(".")[0] not in self.roots:
            found = builtins.__import__(name, globals, locals, fromlist or (), level)
            return self._importlib() if found is importlib else found
        found = self._modules.get(wanted)
        if found is not None and fromlist and all(hasattr(found, part) for part in fromlist):
            return found
        if found is not None and not fromlist and not level:
            return self._modules[name.partition(".")[0]]
        with self.entered():
            return builtins.__import__(name, globals, locals, fromlist or (), level)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """Import a module as `importlib.import_module` does, and prefer the carried modules."""
        wanted = resolve_name(name, package) if name.startswith(".") else name
        if wanted.partition(".")[0] not in self.roots:
            return importlib.import_module(name, package)
        found = self._modules.get(wanted)
        if found is not None:
            return found
        with self.entered():
            return importlib.import_module(wanted)

    def _importlib(self) -> ModuleType:
        """Return a module `importlib` whose `import_module` finds the carried modules."""
        made = ModuleType("importlib")
        vars(made).update(vars(importlib))
        vars(made)["import_module"] = self.import_module
        return made

    def spec(self, name: str) -> ModuleSpec | None:
        """Return the spec of a carried module, or None for a name outside the roots.

        Raises:
            ModuleNotFoundError: the name lies inside the roots, but its file did not travel with the model.
        """
        if name.partition(".")[0] not in self.roots:
            return None
        path = self.files.get(name)
        if path is not None:
            loader = _Loader(name, str(path), None if self._stays else self)
            inside = [str(path.parent)] if path.name == "__init__.py" else None
            return spec_from_file_location(name, path, loader=loader, submodule_search_locations=inside)
        folder = self.folders.get(name)
        if folder is None:
            raise ModuleNotFoundError(f"{name} did not travel with the model", name=name)
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        return spec

    def _take(self) -> dict[str, ModuleType]:
        """Remove the modules below the roots from the process and return them."""
        names = [name for name in sys.modules if name.partition(".")[0] in self.roots]
        return {name: sys.modules.pop(name) for name in names}

    def _waiting(self, ordinary: Any, owner: int) -> Any:
        """Return an `__import__` for the time of the exchange.

        Other threads wait in it until their own modules are back.
        """

        def imported(
            name: str,
            globals: Mapping[str, object] | None = None,
            locals: Mapping[str, object] | None = None,
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> ModuleType:
            if (
                threading.get_ident() != owner
                and _absolute(name, globals, level).partition(".")[0] in self.roots
            ):
                with _lock:  # the thread that exchanges the modules holds it until they are back
                    pass
            return ordinary(name, globals, locals, fromlist, level)

        return imported


class _Finder:
    """A finder that comes before all others and finds the carried modules."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        return self._bundle.spec(fullname)


class _Loader(SourceFileLoader):
    """A loader that makes a module from the source of a carried file and leaves no compiled file beside it.

    A module that is kept apart gets an `__import__` of its own, so that an import inside a function finds its
    neighbours.
    """

    def __init__(self, name: str, path: str, bundle: Bundle | None) -> None:
        super().__init__(name, path)
        self._bundle = bundle

    def path_stats(self, path: object) -> Never:
        """Raise OSError, so that Python finds no compiled file to compare with."""
        raise OSError

    def exec_module(self, module: ModuleType) -> None:
        """Run the file as the module."""
        if self._bundle is not None:
            vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._bundle.imported}
        super().exec_module(module)


def _absolute(name: str, globals: Mapping[str, object] | None, level: int) -> str:
    """Return the absolute name of an import."""
    if not level or globals is None:
        return name
    package = globals.get("__package__") or str(globals.get("__name__", "")).rpartition(".")[0]
    return resolve_name("." * level + name, str(package))


def _module_name(path: Path) -> str:
    """Return the name of the module that a file holds."""
    parts = path.parts[:-1] if path.name == "__init__.py" else (*path.parts[:-1], path.stem)
    return ".".join(parts)


def _is_theirs(name: str, path: Path) -> bool:
    """Tell whether the process has, or would import, a module with that name and source."""
    loaded = sys.modules.get(name)
    file = getattr(loaded, "__file__", None) if loaded is not None else _found_file(name, path)
    try:
        return isinstance(file, str) and Path(file).read_bytes() == path.read_bytes()
    except OSError:
        return False


def _found_file(name: str, path: Path) -> str | None:
    """Return the file that the process would import under that name."""
    top, *rest = name.split(".")
    if not rest:
        spec = PathFinder.find_spec(top)
        return spec.origin if spec is not None else None
    spec = PathFinder.find_spec(top)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        place = Path(folder, *rest)
        return str(place / "__init__.py" if path.name == "__init__.py" else place.with_suffix(".py"))
    return None
