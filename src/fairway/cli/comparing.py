"""The facts about a run that are compared with those of other runs, read from a platform."""

from collections.abc import Sequence

from fairway.cli import curves as drawing
from fairway.cli import looking
from fairway.cli.asking import ask
from fairway.engine import source
from fairway.ports.platform import Platform
from fairway.spec import comparison
from fairway.spec.errors import FairwayError
from fairway.spec.source import package_changes

_MOST_CURVES = 3
_MOST_PACKAGES = 20


def facts_of(platform: Platform, name: str) -> dict[str, str]:
    """Return the facts about a run by name, each as a text."""
    status = ask(platform.run(name))
    return comparison.facts_of(status, looking.evaluations_of(platform, status))


def curves(platform: Platform, names: Sequence[str]) -> list[str]:
    """Return the curves of metrics that several of the runs logged, one below the other."""
    statuses = [ask(platform.run(name)) for name in names]
    logged = [drawing.series_of(status) for status in statuses]
    shared = [title for title in logged[0] if all(title in one for one in logged[1:])] if logged else []
    lines: list[str] = []
    for title in shared[:_MOST_CURVES]:
        lines.append(title)
        lines += [
            f"  {name}  {drawing.sparkline(one[title])}" for name, one in zip(names, logged, strict=True)
        ]
    return lines


def changed_files(platform: Platform, names: Sequence[str]) -> list[str]:
    """Return the source files that differ between the first and the last run; none if the code of one is not on record."""
    try:
        before, after = (ask(platform.code(name)) for name in (names[0], names[-1]))
    except FairwayError:
        return []
    return comparison.changed_files(before, after)


def changed_circumstances(platform: Platform, names: Sequence[str]) -> list[str]:
    """Return how packages, commit and machine of the first and the last run differ; what is not on record is left out."""
    one, other = (ask(platform.run(name)) for name in (names[0], names[-1]))
    before, after = (ask(source.packages(platform, status)) for status in (one, other))
    words: list[str] = []
    if before is not None and after is not None:
        words = package_changes(before, after)
        if len(words) > _MOST_PACKAGES:
            words = [*words[:_MOST_PACKAGES], f"… {len(words) - _MOST_PACKAGES} more packages"]
    commits = [str(status.spec.git) if status.spec.git is not None else "" for status in (one, other)]
    if all(commits) and commits[0] != commits[1]:
        words.append(f"git: {commits[0]} → {commits[1]}")
    machines = [status.spec.machine for status in (one, other)]
    if all(machines) and machines[0] != machines[1]:
        words.append(f"machine: {machines[0]} → {machines[1]}")
    return words
