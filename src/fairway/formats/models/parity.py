"""Whether a loaded model gives the answers it gave when it was registered.

Knows no framework: it compares arrays.
"""

from typing import Any

import msgspec

from fairway.formats.frameworks import load
from fairway.formats.models.predictor import Predictor
from fairway.formats.models.samples import Arrays
from fairway.spec.errors import FairwayError

TOLERANCE = 1e-4
"""Relative difference allowed between floats, and absolute for those below 1; labels must be equal."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. `note` is "max difference 2e-07", or the reason why samples were not reproduced."""

    reproduced: int
    rows: int
    note: str

    @property
    def ok(self) -> bool:
        """Whether every sample was reproduced."""
        return self.reproduced == self.rows


def check_parity(predictor: Predictor, inputs: Arrays, expected: Arrays, *, each: bool = False) -> Parity:
    """Compare a predictor's answers for sample inputs with the expected ones: all rows at once, in another order, alone.

    Never raises: an error of the model is a reason.

    Args:
        each: whether every row is asked alone; otherwise four of them are.
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
    note = reason or (f"max difference {largest:.1g}" if largest else "exact")
    return Parity(reproduced=int(good.sum()), rows=rows, note=note)


def reason_of(error: BaseException) -> str:
    """Type and text of an error in one line."""
    text = " ".join(str(error).split())[:200]
    if isinstance(error, FairwayError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _scale(wanted: Any) -> float:
    """The size of the largest number, at most 1; what is much smaller than it may differ by as much."""
    np = load("numpy")
    if wanted.dtype.kind != "f":
        return 1.0
    return min(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))


def _some(rows: int) -> list[int]:
    """The first, second, middle and last row."""
    return sorted({0, min(1, rows - 1), rows // 2, rows - 1})


def _compare(got: Any, wanted: Any, scale: float) -> tuple[Any, float]:
    """Which rows are the same, and the largest difference between numbers."""
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
