"""Facts about the source and the packages of a run, by which it can be made again."""

import msgspec

from fairway.spec.artifact import Artifact

_INFO = ".dist-info"


class GitState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the repository of a project when a run began.

    Attributes:
        commit: the checked-out commit. It is empty in a repository without one.
        branch: the branch. It is empty when no branch is checked out.
        dirty: True when files of the project differ from the commit, or are not in the repository.
        difference: the difference of the project's files from the commit, as git prints it.
        note: the reason why there is no difference although files differ.
    """

    commit: str = ""
    branch: str = ""
    dirty: bool = False
    difference: Artifact | None = None
    note: str = ""

    def __str__(self) -> str:
        where = f"{self.branch or 'no branch'} {self.commit[:12] or 'without a commit'}"
        return f"{where}, with changes" if self.dirty else where


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """The Python and the installed packages of a run, each name with its version."""

    python: str = ""
    machine: str = ""
    versions: dict[str, str] = {}

    def requirements(self, without: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the packages as pinned lines for an installer, sorted."""
        return tuple(
            f"{name.replace('_', '-')}=={version}"
            for name, version in sorted(self.versions.items())
            if name not in without
        )


def read_packages(text: str) -> Packages:
    """Read the list of an environment: a line with the Python, one with the machine, and one for each package."""
    python, machine, *lines = [*text.split("\n"), "", ""][: text.count("\n") + 1] if text else ("", "")
    versions: dict[str, str] = {}
    for line in lines:
        name, dash, version = line.removesuffix(_INFO).rpartition("-")
        if dash:
            versions[name.lower()] = version
    return Packages(python=python, machine=machine, versions=versions)


def package_changes(before: Packages, after: Packages) -> list[str]:
    """Return the differences of two environments in words, such as "numpy 2.1.0 → 2.2.0"."""
    words: list[str] = []
    if before.python != after.python:
        words.append(f"Python {before.python} → {after.python}")
    if before.machine != after.machine:
        words.append(f"{before.machine} → {after.machine}")
    for name in sorted({*before.versions, *after.versions}):
        old, new = before.versions.get(name), after.versions.get(name)
        if old is None:
            words.append(f"{name} {new} is new")
        elif new is None:
            words.append(f"{name} {old} is gone")
        elif old != new:
            words.append(f"{name} {old} → {new}")
    return words
