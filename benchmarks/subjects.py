"""What a benchmark is: the goals it answers for, how it measures, and how its figures are told.

A subject is a module of this package with `SUBJECT = Subject(...)`; `NAMES` lists them in the order of the page.
Figures are plain values, so that what was seen can be told again without measuring again.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import Environments

NAMES = (
    "starting",
    "installing",
    "chain",
    "fanout",
    "caching",
    "arrays",
    "history",
    "past",
    "getting",
    "searching",
    "pages",
    "pages_readers",
    "serving",
    "served",
    "cluster",
    "mapping",
    "endpoints",
    "steps",
    "stages",
)

Figures = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A row of the table: what is measured and what it should be."""

    what: str
    goal: str


@dataclass(frozen=True)
class Seen:
    """What stands in a row: Fairway's figure, what it stands beside, their ratio, whether the goal is met; why, if not."""

    fairway: str
    beside: str
    ratio: str
    met: bool | None = None
    cause: str = ""


@dataclass(frozen=True)
class Table:
    """A table in the section of a subject."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


@dataclass(frozen=True)
class Told:
    """A subject's part of the page. `seen` has one entry for each of its goals, in their order."""

    seen: tuple[Seen, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Bench:
    """What a measurement is given: whether to be quick, an empty folder, the peers, and somebody to tell.

    `versions` collects what was measured against; `missing` why a peer could not be.
    """

    quick: bool
    folder: Path
    environments: Environments
    say: Callable[[str], None]
    versions: dict[str, str] = field(default_factory=dict[str, str])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def size(self, full: int, quick: int) -> int:
        """One of two sizes."""
        return quick if self.quick else full

    def peer(self, name: str, lock: str = "") -> Path | None:
        """The interpreter of the environment made from `requirements/<lock>.txt`; None when it cannot be made."""
        made = self.environments.make(lock or name.lower())
        if made.problem:
            self.missing[name] = made.problem
            self.say(f"{name} could not be installed: {made.problem}")
            return None
        self.versions[name] = made.version(name)
        return made.python


@dataclass(frozen=True)
class Subject:
    """A benchmark: its goals, how it is measured and how its figures read.

    Attributes:
        title: heading of its section.
        says: what is compared, in a sentence or two.
        profile: whether its section belongs to where the time goes.
    """

    name: str
    title: str
    says: str
    goals: tuple[Goal, ...]
    measure: Callable[[Bench], Figures]
    tell: Callable[[Figures], Told]
    profile: bool = False


def subjects() -> list[Subject]:
    """All subjects that are there."""
    here = Path(__file__).parent
    found = [name for name in NAMES if (here / f"{name}.py").exists()]
    return [importlib.import_module(f"benchmarks.{name}").SUBJECT for name in found]
