"""The packages on this machine that a project imports, as exact requirements with all that they need.

An environment for the nodes starts from them, so that a run on a cluster uses the versions of the laptop.
"""

import json
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fairway.cluster.images.packing import DISTRIBUTION
from fairway.spec.errors import FairwayError

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[([^\]]*)\])?[^;]*(?:;\s*(.*))?", re.DOTALL)
_EXTRA = re.compile(r"""\(?\s*extra\s*==\s*["']([^"']+)["']\s*\)?""")
_EDGE = re.compile(r"^\s*(?:and|or)\s+|\s+(?:and|or)\s*$")


def installed_requirements(modules: Iterable[str], project: Path | None = None) -> list[str]:
    """Return the requirements that modules have on this machine: `name==version`, with a marker if one decides.

    Modules of the standard library, of Fairway, and those that no installed package brings, such as the project's own,
    are left out.

    Args:
        modules: the names of imported modules, such as "sklearn.linear_model".
        project: the folder of the project. A package that is installed from it travels with the code, so that only
            what it needs is returned.

    Raises:
        FairwayError: a package was installed from a folder, so that no index has it.
    """
    closure = _Closure(project)
    for distribution in sorted(_distributions(modules)):
        closure.add(distribution, frozenset(), frozenset())
    return closure.lines()


def _distributions(modules: Iterable[str]) -> set[str]:
    """Return the names of the packages that bring modules."""
    brought = metadata.packages_distributions()
    found: set[str] = set()
    for module in modules:
        top = module.partition(".")[0]
        names = sorted(set(brought.get(top, ())))
        if top in sys.stdlib_module_names or not names:
            continue
        if len(names) > 1:
            # A namespace such as `google` is shared by many packages, and few of them have the module.
            names = [name for name in names if _has_module(name, module)] or names
        found.update(names)
    return {name for name in found if _normal(name) != DISTRIBUTION}


def _has_module(distribution: str, module: str) -> bool:
    path = module.replace(".", "/")
    files = metadata.files(distribution) or ()
    return any(str(file).startswith((f"{path}/", f"{path}.")) for file in files)


class _Closure:
    """The packages found so far, with the conditions under which each is needed; an empty set means always.

    Args:
        project: the folder of the project, if there is one.
    """

    def __init__(self, project: Path | None) -> None:
        self._project = project
        self._versions: dict[str, str] = {}
        self._conditions: dict[str, set[frozenset[str]]] = {}
        self._seen: dict[tuple[str, frozenset[str]], list[frozenset[str]]] = {}

    def add(self, name: str, extras: frozenset[str], conditions: frozenset[str]) -> None:
        """Add a package and what it needs, if it is installed here. Raises FairwayError."""
        name = _normal(name)
        seen = self._seen.setdefault((name, extras), [])
        # What is needed under fewer conditions is needed under more. This also ends circles of packages.
        if name == DISTRIBUTION or any(before <= conditions for before in seen):
            return
        seen.append(conditions)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            # Some packages are needed on other systems alone. The lock for the nodes finds those.
            return
        if not self._is_own(name, distribution):
            self._versions[name] = distribution.version
            self._conditions.setdefault(name, set()).add(conditions)
        for line in distribution.requires or ():
            found = _REQUIREMENT.fullmatch(line)
            if not found:
                continue
            applies, own = _without_extras(found[3] or "", extras)
            if applies:
                wanted = frozenset(_normal(one) for one in (found[2] or "").split(",") if one.strip())
                self.add(found[1], wanted, conditions | frozenset({own} if own else ()))

    def _is_own(self, name: str, distribution: metadata.Distribution) -> bool:
        """Tell whether a package is installed from the project. Raise FairwayError if it is from another folder."""
        text = distribution.read_text("direct_url.json")
        url = str(json.loads(text).get("url", "")) if text else ""
        if not url.startswith("file:"):
            return False
        place = Path(unquote(urlsplit(url).path)).resolve()
        own = self._project.resolve() if self._project else None
        if own and (own.is_relative_to(place) or place.is_relative_to(own)):
            return True
        raise FairwayError(
            f"the project imports {name}, which is installed from {url} and is in no package index",
            hint="put its modules into the project's folder, or publish it to an index that uv is set up for",
        )

    def lines(self) -> list[str]:
        """Return the requirements, sorted."""
        lines: list[str] = []
        for name in sorted(self._versions):
            pinned = f"{name}=={self._versions[name]}"
            sets = self._conditions[name]
            least = sorted(_all_of(one) for one in sets if not any(other < one for other in sets))
            lines.append(f"{pinned} ; {_any_of(least)}" if "" not in least else pinned)
        return lines


def _without_extras(marker: str, extras: frozenset[str]) -> tuple[bool, str]:
    """Tell whether a requirement applies with these extras, and return the rest of its marker."""
    named = {_normal(extra) for extra in _EXTRA.findall(marker)}
    if not named:
        return True, marker.strip()
    if not named & extras:
        return False, ""
    rest = _EXTRA.sub(" ", marker)
    while rest != (shorter := _EDGE.sub(" ", rest)):
        rest = shorter
    # Several extras in one marker cannot be taken out of it word by word.
    return True, rest.strip() if len(named) == 1 and rest.count("(") == rest.count(")") else ""


def _all_of(conditions: frozenset[str]) -> str:
    parts = sorted(conditions)
    return parts[0] if len(parts) == 1 else " and ".join(map(_bracketed, parts))


def _any_of(markers: list[str]) -> str:
    return markers[0] if len(markers) == 1 else " or ".join(map(_bracketed, markers))


def _bracketed(marker: str) -> str:
    return f"({marker})" if " or " in marker or " and " in marker else marker


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
