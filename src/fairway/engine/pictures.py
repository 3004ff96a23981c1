"""Pictures that a step showed, as files that open anywhere and run nothing."""

import html
from typing import Any, cast

from fairway.evaluation import evaluation_html, tables
from fairway.formats.svg import drawing
from fairway.spec.artifact import Artifact
from fairway.spec.evaluation import Evaluation

_PAGE = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
"""Head of a page. It forbids the browser to run or load anything, even if a check below overlooked it."""

_MOST_ROWS = 1000


def rendered(artifact: Artifact, value: object) -> tuple[str, str]:
    """Return file suffix and text of a shown value: SVG for a picture, else HTML with a table or preformatted text.

    SVG that does more than draw is shown as text. Only the cells of a table are used: the HTML that a value makes of itself
    is not trusted.
    """
    if isinstance(value, Evaluation):
        return "html", _PAGE + evaluation_html(value)
    method = getattr(value, "_repr_svg_", None)
    text = method() if callable(method) else value
    if isinstance(text, str) and text.lstrip("\ufeff \t\r\n").startswith("<"):
        picture = drawing(text.lstrip("\ufeff \t\r\n"))
        if picture:
            return "svg", picture
    table = _table(value)
    return "html", _PAGE + (table or f"<pre>{html.escape(str(text))}</pre>")


def _table(value: object) -> str:
    """Render a data frame or series as a table of escaped text; empty for anything else."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if package not in ("pandas", "polars") or kind.__name__ not in ("DataFrame", "Series"):
        return ""
    frame = cast("Any", value)
    if kind.__name__ == "Series":
        frame = frame.to_frame()
    head = frame.head(_MOST_ROWS)
    columns, rows = [str(name) for name in head.columns], _rows(head)
    if package == "pandas":
        names = ["" if name is None else str(name) for name in head.index.names]
        columns = [*names, *columns]
        rows = [
            [*(cast("tuple[object, ...]", place) if isinstance(place, tuple) else (place,)), *row]
            for place, row in zip(head.index, rows, strict=True)
        ]
    count = frame.shape[0]
    more = f"the first {_MOST_ROWS:,} of {count:,} rows" if count > _MOST_ROWS else ""
    return tables.table_html(columns, rows, caption=more)


def _rows(frame: Any) -> list[list[object]]:
    cells = frame.iloc if hasattr(frame, "iloc") else frame
    columns = [list(cells[:, place]) for place in range(frame.shape[1])]
    return [list(row) for row in zip(*columns, strict=True)]
