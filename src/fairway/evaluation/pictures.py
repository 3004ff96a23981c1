"""The pictures of an evaluation as SVG, by the kind of the evaluation.

This module does not know how values were computed. Everything that is drawn is in the `Evaluation`.
"""

from collections.abc import Sequence

from fairway.evaluation.charts import Look, bars, chart, rows_of_bars
from fairway.evaluation.drawing import COLOURS, box, picture, segment, shortened, text, text_width
from fairway.spec.evaluation import Curve, CurveName, Evaluation
from fairway.spec.metrics import format_label, format_metric

_SHOWN = 24
_NAME = 16


def pictures(evaluation: Evaluation) -> dict[str, str]:
    """Draw the pictures for which an evaluation has data, by name and in the order to show them.

    Classification has "confusion", "roc", "precision_recall" and "calibration". Regression has "predictions" and
    "residuals". Clustering has "clusters". Episodes have "returns" and "histogram".
    """
    drawn = {
        "confusion": _confusion(evaluation),
        "roc": _roc(evaluation),
        "precision_recall": _precision_recall(evaluation),
        "calibration": _calibration(evaluation),
        "predictions": _predictions(evaluation),
        "residuals": _residuals(evaluation),
        "clusters": _clusters(evaluation),
        "returns": _returns(evaluation),
        "histogram": _histogram(evaluation),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def _named(evaluation: Evaluation, name: CurveName) -> list[Curve]:
    """Return the curves with that name."""
    return [curve for curve in evaluation.curves if curve.name == name]


def _lines(evaluation: Evaluation, name: CurveName, metric: str) -> dict[str, Sequence[tuple[float, float]]]:
    """Return the curves with that name for a legend, by class and by the value of the metric."""
    by_class = {format_label(each.label): getattr(each, metric) for each in evaluation.per_class}
    lines: dict[str, Sequence[tuple[float, float]]] = {}
    for curve in _named(evaluation, name):
        value: float | None = by_class.get(curve.label) if curve.label else evaluation.metrics.get(metric)
        parts = [curve.label or "area", "" if value is None else format_metric(value)]
        lines[" ".join(part for part in parts if part)] = curve.points
    return lines


def _roc(evaluation: Evaluation) -> str:
    """Draw the ROC curves."""
    lines = _lines(evaluation, "roc", "roc_auc")
    look = Look(x_name="false positive rate", y_name="true positive rate", diagonal=True, unit=True)
    return chart(lines, "ROC", look) if lines else ""


def _precision_recall(evaluation: Evaluation) -> str:
    """Draw the curves of precision and recall."""
    lines = _lines(evaluation, "precision_recall", "average_precision")
    look = Look(x_name="recall", y_name="precision", unit=True)
    return chart(lines, "Precision and recall", look) if lines else ""


def _calibration(evaluation: Evaluation) -> str:
    """Draw the calibration curve."""
    curves = _named(evaluation, "calibration")
    if not curves:
        return ""
    error = evaluation.metrics.get("calibration_error")
    name = "" if error is None else f"error {format_metric(error)}"
    about = "of the predicted class" if evaluation.positive is None else "of the positive class"
    look = Look(
        x_name=f"predicted probability {about}",
        y_name="observed share",
        diagonal=True,
        unit=True,
        marks="on line",
    )
    return chart({name: curves[0].points}, "Calibration", look)


def _predictions(evaluation: Evaluation) -> str:
    """Draw predicted values against true ones."""
    curves = _named(evaluation, "predictions")
    look = Look(x_name="truth", y_name="predicted", diagonal=True, marks="only")
    return chart({"": curves[0].points}, "Predicted against truth", look) if curves else ""


def _residuals(evaluation: Evaluation) -> str:
    """Draw differences against predicted values."""
    curves = _named(evaluation, "predictions")
    look = Look(x_name="predicted", y_name="truth − predicted", level=0.0, marks="only")
    return chart({"": [(p, t - p) for t, p in curves[0].points]}, "Residuals", look) if curves else ""


def _returns(evaluation: Evaluation) -> str:
    """Draw the return of each episode."""
    curves = _named(evaluation, "returns")
    mean = evaluation.metrics.get("mean_return")
    name = "" if mean is None else f"mean {format_metric(mean)}"
    look = Look(x_name="episode", y_name="return", level=mean, level_name=name, marks="on line")
    return chart({"": curves[0].points}, "Return of each episode", look) if curves else ""


def _histogram(evaluation: Evaluation) -> str:
    """Draw the histogram of returns."""
    curves = _named(evaluation, "histogram")
    return bars(curves[0].points, "Returns", "return", "episodes") if curves and curves[0].points else ""


def _clusters(evaluation: Evaluation) -> str:
    """Draw a bar for each cluster."""
    shown = evaluation.per_cluster[:_SHOWN]
    if not shown:
        return ""
    scored = all(each.silhouette is not None for each in shown)
    rows: list[tuple[str, float, str]] = []
    for each in shown:
        if scored and each.silhouette is not None:
            rows.append(
                (format_label(each.label), each.silhouette, f"{each.silhouette:.2f} · {each.count:,} rows")
            )
        else:
            rows.append((format_label(each.label), float(each.count), f"{each.count:,} rows"))
    title = "Silhouette and rows of each cluster" if scored else "Rows of each cluster"
    return rows_of_bars(rows, title, "One bar for each cluster")


def _confusion(evaluation: Evaluation) -> str:
    """Draw the confusion matrix."""
    names = [shortened(format_label(label), _NAME) for label in evaluation.classes]
    if not evaluation.confusion or len(names) != len(evaluation.confusion):
        return ""
    cell = max(9, min(72 if len(names) == 2 else 52, 360 // len(names)))
    size = 11 if cell >= 11 else 8
    widest = max(text_width(name, size) for name in names)
    left, top, side = 36 + widest, 38.0, cell * len(names)
    turned = 0 if widest <= cell - 4 else -45 if cell >= 18 else -90
    foot = {0: 18.0, -45: widest * 0.71 + 14, -90: widest + 10}[turned]
    parts = list(_cells(evaluation, names, (left, top), cell))
    for i, name in enumerate(names):
        middle = (i + 0.5) * cell
        parts.append(text((left - 7, top + middle + size * 0.35), name, anchor="end", size=size))
        at = (left + middle + (size * 0.35 if turned else 0), top + side + (8 if turned == -90 else 14))
        parts.append(text(at, name, anchor="end" if turned else "middle", size=size, turned=turned))
    parts.append(text((14, top + side / 2), "truth", turned=-90))
    parts.append(text((left + side / 2, top + side + foot + 14), "predicted"))
    parts.append(segment((left, top + side), (left + side, top + side)))
    parts.append(segment((left, top), (left, top + side)))
    described = (
        "Rows by true class (down) and predicted class (across); stronger is a larger share of the true class"
    )
    return picture("Confusion", described, parts, (max(left + side + 18, 180), top + side + foot + 24))


def _cells(evaluation: Evaluation, names: list[str], corner: tuple[float, float], cell: int) -> list[str]:
    """Draw the cells of the confusion matrix. Colours are shares of the true class."""
    left, top = corner
    parts: list[str] = []
    for i, row in enumerate(evaluation.confusion):
        total = sum(row) or 1
        for j, count in enumerate(row):
            at = (left + j * cell + 0.5, top + i * cell + 0.5)
            if count:
                hint = f"truth {names[i]}, predicted {names[j]}: {count:,} ({count / total:.0%})"
                colour = COLOURS[0] if i == j else COLOURS[1]
                parts.append(
                    box(at, (cell - 1, cell - 1), colour, opacity=0.1 + 0.6 * count / total, hint=hint)
                )
            if cell >= 26:
                shown = _compact(count)
                size = 12 if text_width(shown, 12) < cell - 6 else 9
                middle = (left + (j + 0.5) * cell, top + (i + 0.5) * cell + size * 0.35)
                parts.append(text(middle, shown, size=size))
    return parts


def _compact(count: int) -> str:
    """Format a count for a small cell."""
    for scale, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if count >= scale:
            value = count / (scale if unit != "k" else 1000)
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"
    return str(count)
