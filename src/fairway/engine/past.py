"""Runs of the past for a script or notebook: a list of light objects, and one frame of all of them."""

import html
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, overload

from fairway.engine.frames import frame
from fairway.engine.report import Run
from fairway.engine.steps import Step
from fairway.spec.errors import NotFound
from fairway.spec.history import Facts, RunRecord, Scalar, read_all_facts
from fairway.spec.quantities import format_duration
from fairway.spec.run import Phase
from fairway.spec.text import one_line

_SHORT = 10
_FEW = 4


class PastRun:
    """A run of the past. What it is found by is at hand, and everything else is read when it is asked for.

    Args:
        record: the run in the list.
        read: reads the whole run of a name.
    """

    __slots__ = ("_facts", "_read", "_run", "record")

    def __init__(self, record: RunRecord, read: Callable[[str], Run]) -> None:
        self.record = record
        self._read = read
        self._run: Run | None = None
        self._facts: Facts | None = None

    @property
    def name(self) -> str:
        """Name of the run, as in `fairway show NAME`."""
        return self.record.name

    @property
    def pipeline(self) -> str:
        """Name of the pipeline."""
        return self.record.pipeline

    @property
    def phase(self) -> Phase:
        """Phase of the run when the list was made."""
        return self.record.phase

    @property
    def ok(self) -> bool:
        """True if the run succeeded."""
        return self.record.phase is Phase.SUCCEEDED

    @property
    def started(self) -> float:
        """Time of the start in seconds since the epoch."""
        return self.record.started

    @property
    def ended(self) -> float:
        """Time of the end in seconds since the epoch; 0 before it."""
        return self.record.ended

    @property
    def parameters(self) -> dict[str, Scalar]:
        """Parameters by name. One that is no number, text or truth value is given as it was shown."""
        return self._known().parameters

    @property
    def metrics(self) -> dict[str, float | None]:
        """Last value of each metric by name."""
        return self._known().metrics

    @property
    def models(self) -> tuple[str, ...]:
        """Versions that it registered, such as "churn:3"."""
        return self._known().models

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that people put on it."""
        return self.record.tags

    @property
    def note(self) -> str:
        """Text that somebody wrote on it."""
        return self.record.note

    @property
    def run(self) -> Run:
        """The whole run, with its steps. It is read once."""
        if self._run is None:
            self._run = self._read(self.name)
        return self._run

    @property
    def result(self) -> object:
        """Value that the pipeline returned. Raises StepFailed with the user's traceback if the run failed."""
        return self.run.result

    @property
    def steps(self) -> dict[str, Step]:
        """Every step by name, in the order of the calls."""
        return self.run.steps

    @property
    def log(self) -> str:
        """Lines that the steps and the pipeline printed."""
        return self.run.log

    @property
    def source(self) -> dict[str, str | None]:
        """Source files by path; None for a file that is not kept."""
        return self.run.source

    def __repr__(self) -> str:
        known = self._known()
        parts = [f"run {self.name}", self.pipeline, self.phase.lower()]
        parts += [f"{name}={value}" for name, value in list(known.parameters.items())[:_FEW]]
        parts += [f"{name} {_short(value)}" for name, value in list(known.metrics.items())[:_FEW]]
        parts += [*known.models[:_FEW], *(f"#{tag}" for tag in self.tags[:_FEW]), self.record.message[:80]]
        return one_line("  ".join(part for part in parts if part))

    def _known(self) -> Facts:
        if self._facts is None:
            self._facts = self.record.known
        return self._facts


class Runs(Sequence[PastRun]):
    """A list of runs of the past, newest first. `runs[0]` is the newest, `runs["k7m2"]` the one of that name.

    Args:
        records: the runs.
        read: reads the whole run of a name.
    """

    def __init__(self, records: Sequence[RunRecord], read: Callable[[str], Run]) -> None:
        self._records = records
        self._read = read

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> PastRun: ...
    @overload
    def __getitem__(self, place: slice) -> "Runs": ...
    @overload
    def __getitem__(self, place: str) -> PastRun: ...
    def __getitem__(self, place: int | str | slice) -> "PastRun | Runs":
        if isinstance(place, slice):
            return Runs(self._records[place], self._read)
        if isinstance(place, int):
            return PastRun(self._records[place], self._read)
        found = [record for record in self._records if record.name.startswith(place)]
        named = [record for record in found if record.name == place] or found
        if len(named) != 1:
            what = f"{len(named)} runs" if named else "no run"
            raise NotFound(
                f"{place!r} fits {what} in this list of {len(self)}", hint="`fairway runs` lists them"
            )
        return PastRun(named[0], self._read)

    def frame(self, library: str = "") -> Any:
        """Return a row for each run: name, pipeline, phase, times, models, tags, and a column for each parameter and metric.

        A parameter with the name of a metric or of another column is called "parameter.NAME".

        Args:
            library: "pandas" or "polars". Without it, the one that is installed.
        """
        records = self._records
        known = read_all_facts(records)
        columns: dict[str, Sequence[object]] = {
            "run": [record.name for record in records],
            "pipeline": [record.pipeline for record in records],
            "phase": [str(record.phase) for record in records],
            "started": [record.started for record in records],
            "ended": [record.ended for record in records],
            "took": [record.ended - record.started if record.ended else None for record in records],
            "version": [", ".join(facts.models) for facts in known],
            "tags": [" ".join(record.tags) for record in records],
        }
        metrics = dict.fromkeys(chain.from_iterable(facts.metrics for facts in known))
        parameters = dict.fromkeys(chain.from_iterable(facts.parameters for facts in known))
        for name in parameters:
            title = f"parameter.{name}" if name in columns or name in metrics else name
            columns[title] = [facts.parameters.get(name) for facts in known]
        for name in metrics:
            title = f"metric.{name}" if name in columns else name
            columns[title] = [facts.metrics.get(name) for facts in known]
        return frame(columns, library, ("started", "ended"))

    def __repr__(self) -> str:
        if not self._records:
            return "no runs"
        lines = [f"{len(self)} run{'s' if len(self) != 1 else ''}", *map(repr, self[:_SHORT])]
        if len(self) > _SHORT:
            lines.append(f"… {len(self) - _SHORT} more")
        return "\n  ".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in _cells(run))}</tr>"
            for run in self[:100]
        )
        head = "".join(
            f"<th>{name}</th>" for name in ("run", "pipeline", "phase", "took", "parameters", "metrics")
        )
        return f"<div><strong>{len(self)} runs</strong><table><tr>{head}</tr>{rows}</table></div>"


def _cells(run: PastRun) -> list[str]:
    took = format_duration(max(0.0, run.ended - run.started)) if run.ended else ""
    parameters = "  ".join(f"{name}={value}" for name, value in list(run.parameters.items())[:_FEW])
    metrics = "  ".join(f"{name} {_short(value)}" for name, value in list(run.metrics.items())[:_FEW])
    return [run.name, run.pipeline, run.phase.lower(), took, parameters, metrics]


def _short(value: float | None) -> str:
    return "nan" if value is None else f"{value:.6g}"
