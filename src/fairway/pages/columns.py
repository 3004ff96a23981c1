"""The columns of a list of runs: parameters and metrics that a person chose, or those that tell most."""

from collections import Counter

import msgspec

from fairway.spec.history import Facts, Scalar
from fairway.spec.text import shortened

_OWN = 2
"""The parameters, and the metrics, that are shown without a choice."""

_MOST = 20
_WIDTH = 40
_TIMES = ("started", "took")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the list.

    Attributes:
        title: its head.
        key: the word by which the list is sorted by it.
        name: the name of the parameter or metric.
        is_metric: False for a parameter.
        is_number: True when its cells line up at the right.
    """

    title: str
    key: str
    name: str
    is_metric: bool
    is_number: bool

    def cell(self, facts: Facts) -> str:
        """Return the cell of a run."""
        held: dict[str, Scalar] = {**facts.metrics} if self.is_metric else facts.parameters
        return written(held[self.name]) if self.name in held else ""


def chosen(known: list[Facts], show: str, sort: str) -> list[Column]:
    """Return the columns: those that `show` names, or else two parameters that vary and two metrics.

    A column by which the list is sorted is always among them.

    Args:
        known: the facts of the runs on the page.
        show: names with commas between them.
        sort: the order of the list, such as "-accuracy".
    """
    metrics = Counter(name for facts in known for name in facts.metrics)
    parameters = Counter(name for facts in known for name in facts.parameters)
    names = [name.strip() for name in show.split(",") if name.strip()][:_MOST]
    if not names:
        names = [*_varying(known, parameters)[:_OWN], *(name for name, _ in metrics.most_common(_OWN))]
    by = sort.removeprefix("-")
    if by and by not in (*names, *_TIMES):
        names.append(by)
    return [_column(name, known, metrics, parameters) for name in dict.fromkeys(names)]


def _column(name: str, known: list[Facts], metrics: Counter[str], parameters: Counter[str]) -> Column:
    kind, dot, rest = name.partition(".")
    plain = rest if dot and kind in ("metric", "parameter") and name not in (*metrics, *parameters) else name
    is_metric = plain in metrics and kind != "parameter"
    held = [facts.parameters[plain] for facts in known if plain in facts.parameters]
    number = is_metric or (bool(held) and all(isinstance(one, int | float) for one in held))
    return Column(title=name, key=name, name=plain, is_metric=is_metric, is_number=number)


def _varying(known: list[Facts], parameters: Counter[str]) -> list[str]:
    """Return the parameters, those with different values first."""
    values = {
        name: {repr(facts.parameters[name]) for facts in known if name in facts.parameters}
        for name in parameters
    }
    return sorted(parameters, key=lambda name: len(values[name]) < 2)


def written(value: Scalar) -> str:
    """Return a parameter or metric for a table."""
    if value is None:
        return "nan"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else shortened(str(value), _WIDTH)
