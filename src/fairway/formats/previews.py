"""Stored values as a few lines that a person reads: the head of a table, the metrics of an evaluation, the name of a file.

Nothing here runs content of a store, and nothing loads a table library: a table is shown as its Arrow columns.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from fairway.formats import codecs
from fairway.formats.arrow import read_table
from fairway.formats.frameworks import load
from fairway.formats.untagged import untagged
from fairway.spec.artifact import Artifact
from fairway.spec.errors import FairwayError, SerializationError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import format_memory
from fairway.spec.text import shortened

LARGEST = 8 * 2**20
"""The bytes of content above which a value is only named."""

_ROWS = 10
_LINES = 20
_COLUMNS = 12
_WIDTH = 40
_LETTERS = 400

_READ = frozenset({"json", "npy", "arrow"})
"""The formats that a preview reads. A value of any other format is only named."""


def is_shown(artifact: Artifact) -> bool:
    """Tell whether a preview of the artifact needs its content."""
    return artifact.format in _READ and artifact.size <= LARGEST and not artifact.files


def preview(artifact: Artifact, content: bytes, *, rows: int = _ROWS, brief: bool = False) -> list[str]:
    """Return a value as lines. A value that cannot be read here is only named.

    Args:
        artifact: the artifact.
        content: its content, if `is_shown` says that it is needed.
        rows: how many rows of a table are shown.
        brief: True for an evaluation in one line.
    """
    if not is_shown(artifact):
        return [named(artifact)]
    try:
        if artifact.format == "json":
            return _plain(artifact, content, rows, brief)
        if artifact.format == "npy":
            return _array(artifact, content, rows)
        return _table(artifact, content, rows)
    except (FairwayError, ImportError) as error:
        return [f"{named(artifact)}  ({error})"]


def named(artifact: Artifact) -> str:
    """Return the kind, form and size of a value."""
    words = [artifact.note if artifact.format in ("file", "folder") else artifact.kind or artifact.format]
    if artifact.note not in (words[0], "pickled"):
        words.append(artifact.note)
    words.append(format_memory(artifact.size))
    if artifact.format == "pickle":
        words.append("kept as a pickle, which is copied and never read here")
    return "  ".join(word for word in words if word)


def own(artifact: Artifact, content: bytes) -> object:
    """Return the evaluation, version or other record of Fairway in an artifact; None for a value of the user."""
    if not artifact.kind.startswith("fairway."):
        return None
    try:
        return codecs.look("json", content, artifact.kind)
    except SerializationError:
        return None  # a record of an earlier or later version is shown as plain data


def _plain(artifact: Artifact, content: bytes, rows: int, brief: bool) -> list[str]:
    value: object = own(artifact, content)
    if isinstance(value, Evaluation):
        return [repr(value)] if brief else str(value).split("\n")
    if isinstance(value, ModelVersion):
        return [_version(value)]
    value = untagged(content)
    if isinstance(value, str):
        return _cut(value.split("\n"), rows * 2)
    if not isinstance(value, list | dict):
        return [msgspec.json.encode(value).decode()]
    flat = msgspec.json.encode(value).decode()
    if len(flat) <= 100:
        return [flat]
    return _cut(msgspec.json.format(flat, indent=2).split("\n"), rows * 2)


def _version(version: ModelVersion) -> str:
    metrics = version.evaluation.metrics if version.evaluation is not None else {}
    shown = "  ".join(f"{name} {value:.6g}" for name, value in list(metrics.items())[:3])
    return f"{version}  {shown}".rstrip()


def _array(artifact: Artifact, content: bytes, rows: int) -> list[str]:
    np = load("numpy")
    array: Any = codecs.look("npy", content, "numpy.ndarray")
    text = np.array2string(array, threshold=10 * rows, edgeitems=3, max_line_width=100)
    return [artifact.note, *_cut(str(text).split("\n"), rows * 2)]


def _table(artifact: Artifact, content: bytes, rows: int) -> list[str]:
    table: Any = read_table(content)
    names = [str(name) for name in table.column_names][:_COLUMNS]
    head = [
        [_cell(value) for value in table.column(place).slice(0, rows).to_pylist()]
        for place in range(len(names))
    ]
    cells = [list(row) for row in zip(*head, strict=True)]
    more = []
    if table.num_rows > rows:
        more = [f"… {table.num_rows - rows:,} more rows"]
    if table.num_columns > _COLUMNS:
        more.append(f"… {table.num_columns - _COLUMNS} more columns")
    return [f"{artifact.kind}  {artifact.note}", *_aligned(names, cells), *more]


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return shortened(text.replace("\n", " "), _WIDTH)


def _cut(lines: list[str], most: int) -> list[str]:
    left = len(lines) - most
    kept = [shortened(line, _LETTERS) for line in lines[:most]]
    return kept if left <= 0 else [*kept, f"… {left:,} more lines"]
