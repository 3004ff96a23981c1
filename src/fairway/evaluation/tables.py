"""Tables as HTML, and the whole report of an evaluation for a notebook or page.

Everything is escaped and carries no styles, so that it fits any page. Cells with numbers have the class "number".
This module does not know what the values mean.
"""

from collections.abc import Sequence

from fairway.evaluation.drawing import escape
from fairway.evaluation.pictures import pictures
from fairway.spec.evaluation import Evaluation, average_rows, class_rows, cluster_rows, metric_rows, title_of
from fairway.spec.metrics import format_metric


def table_html(columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = "") -> str:
    """Return a table as HTML. Floats are shown like metrics, and whole numbers with their thousands apart.

    Args:
        columns: the names of the columns. Without names there is no header.
        rows: the cells, row by row.
        caption: the caption, if any.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<table class="fairway">{title}{top}<tbody>{body}</tbody></table>'


def evaluation_html(evaluation: Evaluation) -> str:
    """Return the metrics, the classes or clusters, the remarks and all pictures as one element."""
    parts = [f"<p><strong>{escape(title_of(evaluation))}</strong></p>"]
    parts.append(table_html((), [(name, evaluation.metrics[name]) for name, _ in metric_rows(evaluation)]))
    header, rows = cluster_rows(evaluation) if evaluation.per_cluster else class_rows(evaluation)
    if rows:
        parts.append(_text_table(header, [*rows, *average_rows(evaluation)]))
    remarks = [*(f"no {name}: {why}" for name, why in evaluation.absent.items()), *evaluation.notes]
    if remarks:
        parts.append(f"<ul>{''.join(f'<li>{escape(remark)}</li>' for remark in remarks)}</ul>")
    parts.extend(f"<figure>{svg}</figure>" for svg in pictures(evaluation).values())
    return f'<div class="fairway-evaluation">{"".join(parts)}</div>'


def _text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts whose first cells are headers."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td class="number">{escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<table class="fairway"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(value: object) -> str:
    """Return one cell."""
    if isinstance(value, float):
        return f'<td class="number">{escape(format_metric(value))}</td>'
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape('' if value is None else str(value))}</td>"
