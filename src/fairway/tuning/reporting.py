"""A search in the run that it belongs to: a table of its trials, and pictures of its history and its parameters."""

import sys
from collections.abc import Sequence

from fairway.author.session import current
from fairway.evaluation.charts import Look, chart, rows_of_bars
from fairway.tuning.trials import Search, Trial

_PRINTED = 5


def reported(search: Search, metric: str) -> Search:
    """Show a search with the run, print its best trials, and return it."""
    session = current()
    if session is not None:
        # A project that uses no tables should not wait a second for the import of pandas.
        loaded = any(library in sys.modules for library in ("pandas", "polars"))
        table = search.frame() if loaded else table_text(search, len(search.trials))
        session.show(f"{search.name} trials", table)
        session.show(f"{search.name} history", history(search, metric))
        if search.importance:
            session.show(f"{search.name} importance", importance(search))
        print(table_text(search, _PRINTED), flush=True)
    return search


def history(search: Search, metric: str = "") -> str:
    """Draw the scores in the order of the trials as SVG, with the best so far."""
    inorder = sorted((one for one in search.trials if one.score is not None), key=lambda one: one.number)
    done = [one for one in inorder if one.fate == "done"]
    lines = {"best so far": _best_so_far(done, search.goal)}
    look = Look(x_name="trial", y_name=metric or "score", marks="on line")
    return chart(lines | {"trials": [_point(one) for one in done]}, f"{search.name}: scores", look)


def importance(search: Search) -> str:
    """Draw the shares of the parameters in the differences of the scores as SVG."""
    rows = sorted(search.importance.items(), key=lambda one: -one[1])
    bars = [(name, share, f"{share:.0%}") for name, share in rows]
    return rows_of_bars(bars, f"{search.name}: importance", "the share of each parameter in the scores")


def table_text(search: Search, most: int) -> str:
    """Return the best trials as lines of text."""
    rows = [["trial", "score", "fate", *search.best.parameters]]
    for one in search.trials[:most]:
        score = "" if one.score is None else f"{one.score:.6g}"
        rows.append([str(one.number), score, one.fate, *map(_short, one.parameters.values())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([f"{search.name}: {search.summary()}", *(f"  {line}" for line in lines)])


def _best_so_far(trials: Sequence[Trial], goal: str) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for one in trials:
        number, score = _point(one)
        best = score if not found else (min if goal == "minimize" else max)(found[-1][1], score)
        found.append((number, best))
    return found


def _point(trial: Trial) -> tuple[float, float]:
    return float(trial.number), trial.score if trial.score is not None else float("nan")


def _short(given: object) -> str:
    if isinstance(given, float):
        return f"{given:.4g}"
    name = getattr(given, "__name__", None)
    text = name if isinstance(name, str) else str(given)
    return text if len(text) <= 24 else text[:23] + "…"
