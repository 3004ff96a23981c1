"""The packages of a run, installed again in an environment of their own.

A list of all packages is installed to the letter, also where two of them contradict each other. A package that was installed from
a folder, a file or a repository is in no index, and a stranger's package may have its name there. So no index is asked for it.
"""

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from fairway.author import distributions
from fairway.local import environments
from fairway.spec.errors import FairwayError
from fairway.spec.project import EnvironmentSpec
from fairway.spec.source import Packages, package_changes, read_packages

_NO_MATTER = ("fairway_ml", "pip", "setuptools", "wheel", "uv")
"""Distributions that no result depends on, or that are not installed from an index."""

_MOST_NAMED = 5

Note = Callable[[str], None]


async def environment(before: Packages, run: str, folder: Path, note: Note) -> environments.Built | None:
    """Return an environment with the packages of a run; None if the present one has them.

    Args:
        before: the packages of the run.
        run: the name of the run.
        folder: the fresh folder in which the run is made again.
        note: takes lines for the person.

    Raises:
        FairwayError: a package cannot be had again, or an installer failed.
    """
    before, now = that_matter(before), that_matter(read_packages(distributions.listed()))
    minor, own = (text.rpartition(".")[0] for text in (before.python, now.python))
    # An installer chooses the minor version of Python and not the machine, so other differences there build nothing.
    beside = msgspec.structs.replace(before, machine=now.machine, python=now.python)
    changed = package_changes(beside, now)
    if minor != own:
        changed.insert(0, f"Python {before.python} → {now.python}")
    if not changed:
        return None
    note(f"the packages are others now: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}")
    lines, lost = _requirements(before)
    spec = EnvironmentSpec(requirements=lines, python="" if minor == own else minor, complete=True)
    if lost:
        raise _unavailable(run, lost + [_named(line) for line in await environments.unavailable(spec)])
    try:
        return await environments.ensure(spec, environments.cache_folder(folder), note)
    except FairwayError as error:
        if missing := await environments.unavailable(spec, error.message):
            raise _unavailable(run, [_named(line) for line in missing]) from None
        raise FairwayError(
            f"the packages of run {run} cannot be installed again: {error.message}", hint=_as_is(run)
        ) from None


def that_matter(packages: Packages) -> Packages:
    """Return a list of packages without those that no result depends on."""
    kept = {name: version for name, version in packages.versions.items() if name not in _NO_MATTER}
    return msgspec.structs.replace(packages, versions=kept)


def _requirements(packages: Packages) -> tuple[tuple[str, ...], list[str]]:
    """Return the lines for an installer, and the packages that no index may be asked for and that are not here either."""
    lines, lost = list[str](), list[str]()
    for line in packages.requirements():
        name, _, version = line.partition("==")
        here, origin, requirement = _origin(name)
        if not origin:
            lines.append(line)
        elif here == version:
            lines.append(requirement)
        else:
            lost.append(f"{name} {version} (installed from {origin}, which is {here} now)")
    return tuple(lines), lost


def _origin(name: str) -> tuple[str, str, str]:
    """Return the version of an installed package, the place that it was installed from, and a requirement for that.

    Place and requirement are empty for a package of an index, and for one whose folder or file is gone.
    """
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return "", "", ""
    text = found.read_text("direct_url.json")
    said: dict[str, Any] = json.loads(text) if text else {}
    url = str(said.get("url", ""))
    if url.startswith("file:"):
        place = Path(unquote(urlsplit(url).path))
        if not place.exists():
            return found.version, "", ""
        if said.get("dir_info", {}).get("editable"):
            return found.version, str(place), f"-e {place}"
        return found.version, str(place), f"{name} @ {url}"
    if (repository := said.get("vcs_info")) and url:
        kind, commit = repository.get("vcs", "git"), repository.get("commit_id", "")
        return found.version, url, f"{name} @ {kind}+{url}@{commit}"
    return found.version, url, f"{name} @ {url}" if url else ""


def _named(line: str) -> str:
    return " ".join(line.split("=="))


def _unavailable(run: str, packages: list[str]) -> FairwayError:
    named = ", ".join(packages[:_MOST_NAMED])
    more = f" and {len(packages) - _MOST_NAMED} more" if len(packages) > _MOST_NAMED else ""
    return FairwayError(
        f"run {run} used packages that cannot be had again for this machine: {named}{more}",
        hint=f"{_as_is(run)}; `PIP_FIND_LINKS` and `UV_FIND_LINKS` name a folder with their wheels",
    )


def _as_is(run: str) -> str:
    return f"`fairway reproduce {run} --as-is` uses those that are installed now"
