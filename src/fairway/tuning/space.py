"""The space of a search: what each parameter may be, as the user writes it with plain Python.

A list is a choice, a tuple of two numbers is a range with both ends, `(low, high, "log")` is a range of magnitudes,
`(low, high, step)` is a range with equal distances, and `range(…)` is a range of whole numbers.
"""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from fairway.spec.errors import UsageError

FORMS = '`[…]` for a choice, `(1, 10)`, `(1e-4, 1e-1, "log")`, `(0, 1, 0.1)` or `range(2, 9)` for numbers'


class Choice(msgspec.Struct, frozen=True):
    """A parameter that is one of some values."""

    options: tuple[object, ...]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter that is a number between two ends, both of which it may take.

    Attributes:
        whole: True when only whole numbers are meant.
        log: True when magnitudes are drawn, so that 0.001 is as likely as 0.1.
        step: the distance between neighbours. 0 is any distance.
    """

    low: float
    high: float
    whole: bool
    log: bool = False
    step: float = 0.0


Dimension = Choice | Range
Space = dict[str, Dimension]


def parse(space: object) -> Space:
    """Read a space. Raises UsageError."""
    if not isinstance(space, Mapping) or not space:
        raise UsageError(f"search: the space {space!r} is not a dict of parameters", hint=FORMS)
    return {
        str(name): _dimension(str(name), one) for name, one in cast("Mapping[object, object]", space).items()
    }


def meant(dimension: Dimension, number: float) -> object:
    """Return the value of a parameter that a number on record stands for."""
    if isinstance(dimension, Choice):
        return dimension.options[int(number)]
    return int(number) if dimension.whole else float(number)


def fits(space: Space, parameters: Mapping[str, float]) -> bool:
    """Tell whether numbers on record lie in a space, which may have changed since they were recorded."""
    return parameters.keys() == space.keys() and all(
        _within(space[name], number) for name, number in parameters.items()
    )


def _within(dimension: Dimension, number: float) -> bool:
    if isinstance(dimension, Choice):
        return 0 <= number < len(dimension.options)
    return dimension.low <= number <= dimension.high


def _dimension(name: str, written: object) -> Dimension:
    if isinstance(written, range):
        return _of_range(name, written)
    if isinstance(written, list):
        options = tuple(cast("list[object]", written))
        if not options:
            raise UsageError(f"search: {name} has nothing to choose from", hint=FORMS)
        return Choice(options)
    if isinstance(written, tuple):
        return _of_tuple(name, cast("tuple[object, ...]", written))
    raise UsageError(f"search: {name}={written!r} is no choice and no range", hint=FORMS)


def _of_range(name: str, written: range) -> Range:
    if not written or written.step < 0:
        raise UsageError(f"search: {name}={written!r} has no number", hint=FORMS)
    return Range(low=written[0], high=written[-1], whole=True, step=written.step)


def _of_tuple(name: str, written: Sequence[object]) -> Range:
    low, high, third = (*written, None, None, None)[:3]
    good = len(written) in (2, 3) and _is_number(low) and _is_number(high)
    good = good and (third in (None, "log") or _is_number(third))
    if not good or not cast("float", low) < cast("float", high):
        raise UsageError(f"search: {name}={tuple(written)!r} is no range", hint=FORMS)
    numbers = [one for one in (low, high, third) if one not in (None, "log")]
    whole = all(isinstance(one, int) for one in numbers)
    log, step = third == "log", 0.0 if third in (None, "log") else cast("float", third)
    found = Range(low=cast("float", low), high=cast("float", high), whole=whole, log=log, step=step)
    if log and found.low <= 0:
        raise UsageError(f"search: {name} has magnitudes, and {found.low:g} has none", hint="begin above 0")
    if third is not None and not log and step <= 0:
        raise UsageError(f"search: {name} has the distance {step:g}", hint=FORMS)
    return found


def _is_number(one: object) -> bool:
    """Tell whether something is a finite number. numpy's numbers count, and truth values do not."""
    return isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one)
