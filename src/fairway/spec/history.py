"""Runs of the past as they are asked for and listed: parameters, last metrics, times and marks, without their steps."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import UsageError
from fairway.spec.run import Phase, RunListed

Scalar = bool | int | float | str | None
"""A parameter of a run. A value that is no scalar is given as it was shown when the run began."""

Mark = Literal["<", "<=", ">", ">=", "="]


class Comparison(msgspec.Struct, frozen=True, gc=False):
    """A comparison with a metric or parameter that holds for every run for which a condition holds.

    Attributes:
        kind: "metric" or "parameter"; empty if the condition does not say.
        value: the number or text.
    """

    kind: str
    name: str
    mark: Mark
    value: float | str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """The values of a run by which it is found.

    Attributes:
        parameters: the parameters by name.
        metrics: the last value of each metric by name. The evaluation of a registered model comes before what the pipeline
            logged, and that before what steps logged or returned as an evaluation. None is a value that is no number.
        models: the versions that the run registered, such as "churn:3".
    """

    parameters: dict[str, Scalar] = {}
    metrics: dict[str, float | None] = {}
    models: tuple[str, ...] = ()


class RunQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runs that somebody wants, newest first unless `sort` says otherwise.

    Attributes:
        pipeline: only those of this pipeline.
        since: only those that started at this time or later, in seconds since the epoch.
        until: only those that started before this time.
        phase: only those in this phase.
        tag: only those with this word on them.
        where: only those for which this condition holds, such as "accuracy > 0.9 and depth < 8".
        text: only those with this text in their name, pipeline, note or cause, or with this word on them.
        sort: the order: "started", "took", or a metric or parameter, with "-" before it for the greatest first. Runs
            without that value are left out. Empty is the newest first.
        limit: at most so many; 0 for all.
        before: only those that come behind the run of this name in the list.
    """

    pipeline: str = ""
    since: float = 0.0
    until: float = 0.0
    phase: Phase | None = None
    tag: str = ""
    where: str = ""
    text: str = ""
    sort: str = ""
    limit: int = 0
    before: str = ""


Position = tuple[object, int]
"""The place of a run in a list: the value by which the list is sorted, and the place of the run in the log."""

START: Position = (None, 0)
"""The place before the first run of any list."""

ALL = 2**31 - 1
"""The number of runs to ask for, for all of them. No store has as many, and SQLite's Python module takes no more."""


def _no_facts() -> msgspec.Raw:
    """Return the default of a field. A schema cannot show raw JSON, so it is no default value."""
    return msgspec.Raw(b"{}")


class RunRecord(RunListed, frozen=True, kw_only=True, gc=False):
    """A run of the past in a list.

    Attributes:
        facts: its parameters, last metrics and models as JSON, which `known` decodes. A list of many runs decodes few of them.
        tags: the words on it, sorted.
        note: the text on it.
    """

    facts: msgspec.Raw = msgspec.field(default_factory=_no_facts)
    tags: tuple[str, ...] = ()
    note: str = ""

    @property
    def known(self) -> Facts:
        """Its parameters, last metrics and models. Empty if they cannot be read."""
        return read_facts(self.facts)


class Removal(msgspec.Struct, frozen=True):
    """A run or version that goes, and the bytes of content that nothing else needs."""

    name: str
    size: int


def parse_phase(text: str) -> Phase | None:
    """Return the phase of a word, in any case; None for an empty one. "done" means Succeeded. Raises UsageError."""
    word = {"done": "succeeded"}.get(text.lower(), text.lower())
    found = next((phase for phase in Phase if phase.value.lower() == word), None)
    if text and found is None:
        raise UsageError(
            f"{text[:40]!r} is no phase",
            hint=f"the phases are {', '.join(phase.value.lower() for phase in Phase)}",
        )
    return found


_decode = msgspec.json.Decoder(Facts).decode
_decode_all = msgspec.json.Decoder(list[Facts]).decode


def read_facts(data: bytes | msgspec.Raw) -> Facts:
    """Return facts from JSON. What cannot be read gives empty ones."""
    try:
        return _decode(data)
    except UNREADABLE:
        return Facts()


def read_all_facts(records: Sequence[RunRecord]) -> list[Facts]:
    """Return the facts of runs. It takes half as long as to read those of one run after the other."""
    try:
        found = _decode_all(b"[" + b",".join([record.facts for record in records]) + b"]")
    except UNREADABLE:
        return [record.known for record in records]
    return found if len(found) == len(records) else [record.known for record in records]
