"""Metrics of an agent over whole episodes: the returns, and how sure their mean is.

This module knows neither the agent nor its environment.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
"""The confidence of the interval around the mean return."""
MAX_BINS = 20


def return_metrics(returns: NDArray[np.float64]) -> dict[str, float]:
    """Compute the mean of returns with its 95 % confidence interval, their spread and their extremes.

    The interval is Student's: mean ± t · s / √n with n − 1 degrees of freedom. The interval and the standard
    deviation are NaN for a single episode.

    Args:
        returns: the returns, shape (n,).
    """
    mean = float(returns.mean())
    spread = reach = float("nan")
    if len(returns) > 1:
        spread = float(returns.std(ddof=1))
        reach = student_quantile(CONFIDENCE, len(returns) - 1) * spread / math.sqrt(len(returns))
    return {
        "mean_return": mean,
        "mean_return_low": mean - reach,
        "mean_return_high": mean + reach,
        "std_return": spread,
        "min_return": float(returns.min()),
        "max_return": float(returns.max()),
    }


def histogram(values: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return the middles of at most 20 bins of equal width, and the number of values in each."""
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        return ()
    bins = min(MAX_BINS, max(5, round(math.sqrt(len(values))))) if high > low else 1
    counts, edges = np.histogram(values, bins=bins)
    return tuple(zip(((edges[1:] + edges[:-1]) / 2).tolist(), map(float, counts.tolist()), strict=True))


def student_quantile(confidence: float, degrees: int) -> float:
    """Compute the t with P(|T| ≤ t) = confidence for Student's distribution, to about 1e-10."""
    low, high = 0.0, 1.0
    while _student_inside(high, degrees) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_inside(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2


def _student_inside(t: float, degrees: int) -> float:
    """Compute P(|T| ≤ t) for Student's distribution."""
    return 1 - _beta_share(degrees / 2, 0.5, degrees / (degrees + t * t))


def _beta_share(a: float, b: float, x: float) -> float:
    """Compute the regularised incomplete beta function I_x(a, b) (Abramowitz & Stegun 26.5)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # Beyond this point the fraction converges slowly, and that of the other tail fast.
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Compute the continued fraction of the incomplete beta function by Lentz's method (A&S 26.5.8)."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = result
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            result *= c * d
        if abs(result - before) <= 1e-15 * abs(result):
            break
    return result
