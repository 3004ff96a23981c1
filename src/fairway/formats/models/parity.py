"""The check that a loaded model gives the answers it gave when it was registered.

This module compares arrays and knows no framework.
"""

from typing import Any

import msgspec

from fairway.formats.frameworks import load
from fairway.formats.models.predictor import Predictor
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import FairwayError

TOLERANCE = 1e-4
"""The relative difference that is allowed between floats, and the absolute one for those below 1.

Labels must be equal.
"""

_BOUNDS = (1e-12, 1e-8, 1e-5)
"""The bounds by which a difference is told. What rounding makes of floats of 64 and of 32 bits is not near to any of them."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a check. `note` is the largest difference, or the reason why samples were not reproduced."""

    reproduced: int
    rows: int
    note: str

    @property
    def ok(self) -> bool:
        """True when every sample was reproduced."""
        return self.reproduced == self.rows


def check_parity(predictor: Predictor, inputs: Arrays, expected: Arrays, *, each: bool = False) -> Parity:
    """Compare a predictor's answers for sample inputs with the expected ones.

    The rows are asked for all at once, in another order, and alone. An error of the model is a reason, and is never
    raised.

    Args:
        predictor: the predictor to check.
        inputs: the sample rows.
        expected: the outputs that it must give.
        each: True asks for every row alone. Otherwise only four rows are asked for alone.
    """
    np = load("numpy")
    rows = len(next(iter(expected.values())))
    order = np.random.default_rng(0).permutation(rows)
    asked = [("", np.arange(rows))]
    if rows > 1:
        asked.append((" when the rows come in another order", order))
        asked += [
            (" when a row comes alone", np.array([row])) for row in (range(rows) if each else _some(rows))
        ]
    good = np.ones(rows, dtype=bool)
    largest, reason = 0.0, ""
    for when, places in asked:
        try:
            got = predictor.predict(
                inputs if not when else {name: array[places] for name, array in inputs.items()}
            )
        except Exception as error:
            return Parity(reproduced=0, rows=rows, note=f"it failed on the samples{when}: {reason_of(error)}")
        for name, wanted in expected.items():
            if name not in got:
                return Parity(reproduced=0, rows=rows, note=f"it gives no {name!r}")
            part = wanted[places]
            if got[name].shape != part.shape:
                shapes = f"{got[name].shape} instead of {part.shape}"
                return Parity(reproduced=0, rows=rows, note=f"its {name!r} has the shape {shapes}")
            same, difference = _compare(got[name], part, _scale(wanted))
            good[places] &= same
            largest = max(largest, difference)
            if not same.all() and not reason:
                reason = f"its {name!r} differs in {int((~same).sum())} of {len(same)} rows"
                reason += f" by up to {difference:.1g}" if difference else ""
                reason += when
    return Parity(reproduced=int(good.sum()), rows=rows, note=reason or _format_difference(largest))


def _format_difference(difference: float) -> str:
    """Return the largest difference in words.

    A small one is told by a bound. Its last digits change with the threads of a runtime, and a model that is registered a
    second time must be equal to the first to the bit.
    """
    if not difference:
        return "exact"
    bound = next((bound for bound in _BOUNDS if difference < bound), None)
    return f"max difference {difference:.1g}" if bound is None else f"max difference below {bound:g}"


def reason_of(error: BaseException) -> str:
    """Return the type and the text of an error in one line."""
    text = " ".join(str(error).split())[:200]
    if isinstance(error, FairwayError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _scale(wanted: Any) -> float:
    """Return the size of the largest number, but at most 1. Much smaller numbers may differ by as much as it may."""
    np = load("numpy")
    if wanted.dtype.kind != "f":
        return 1.0
    return min(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))


def _some(rows: int) -> list[int]:
    """Return the first, second, middle and last row."""
    return sorted({0, min(1, rows - 1), rows // 2, rows - 1})


def _compare(got: Any, wanted: Any, scale: float) -> tuple[Any, float]:
    """Compare two arrays.

    Returns:
        the rows that are the same, as an array of booleans, and the largest difference between numbers.
    """
    np = load("numpy")
    axes = tuple(range(1, wanted.ndim))
    if wanted.dtype.kind not in "f" and got.dtype.kind not in "f":
        return np.all(np.asarray(got == wanted, dtype=bool), axis=axes), 0.0
    try:
        one, other = got.astype(np.float64), wanted.astype(np.float64)
    except (ValueError, TypeError):
        return np.zeros(len(wanted), dtype=bool), 0.0
    finite = np.isfinite(other)
    same = np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
    both = finite & np.isfinite(one)
    return np.all(same, axis=axes), float(np.abs(one[both] - other[both]).max(initial=0.0))
