"""Stored values as a page shows them: the first rows of a table with statistics of its columns, an array with its histogram.

Nothing here runs content of a store. A look reads a bounded part of a value, and says what it left out.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairway.formats import codecs
from fairway.formats.arrow import read_table
from fairway.formats.frameworks import load
from fairway.formats.pandas import own_columns
from fairway.formats.previews import named, own
from fairway.formats.svg import drawing
from fairway.formats.untagged import untagged
from fairway.spec.artifact import Artifact, FileEntry, Manifest
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import FairwayError, SerializationError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import format_memory
from fairway.spec.text import shortened

LARGEST = 32 * 2**20
"""The bytes of content above which a value is only named."""

_ROWS = 20
_COLUMNS = 40
_WIDTH = 60
_LETTERS = 20_000
_BINS = 30
_MOST_VALUES = 2_000_000
"""The values of a column or array of which statistics are made."""

_MISSING = 2
"""The place of the missing values in the row about a column."""

_FILES = 500
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_LOOKED_AT = frozenset({"json", "npy", "arrow", "file"})


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A value as a page shows it. Most fields are empty.

    Attributes:
        named: its kind, form and size.
        facts: what is known of it, as name and text.
        text: a text, or a value as JSON.
        columns: the names of the columns of a table.
        rows: the first rows of a table, or the files of a folder.
        more: what is left out.
        about: the columns of a table with their types, missing values and ranges. The first row has the heads.
        histogram: the middles and numbers of the bins.
        evaluation: an evaluation, which is drawn elsewhere.
        image: the media type of an image that a browser may show from its own address.
        drawing: a picture as SVG that can only draw. It is shown from its own address too.
    """

    named: str
    facts: list[tuple[str, str]] = []
    text: str = ""
    columns: list[str] = []
    rows: list[list[str]] = []
    more: str = ""
    about: list[list[str]] = []
    histogram: list[tuple[float, float]] = []
    evaluation: Evaluation | None = None
    image: str = ""
    drawing: str = ""


def needs_content(artifact: Artifact) -> bool:
    """Tell whether a look at the artifact reads its content. For a folder, that is its list of files."""
    return artifact.files or (artifact.format in _LOOKED_AT and artifact.size <= LARGEST)


def look(artifact: Artifact, content: bytes | Path) -> Look:
    """Return a look at a value. One that cannot be read here is only named, with the reason."""
    if not needs_content(artifact):
        large = "too large to be looked into here" if artifact.size > LARGEST else ""
        return Look(named=named(artifact), more=large)
    try:
        return _look(artifact, content)
    except (FairwayError, ImportError) as error:
        return Look(named=named(artifact), more=f"not looked into: {error}")
    except Exception as error:
        # The content may come from anybody, and the libraries that read it raise whatever they like.
        return Look(
            named=named(artifact), more=f"not looked into: it cannot be read ({type(error).__name__})"
        )


def _look(artifact: Artifact, content: bytes | Path) -> Look:
    if artifact.files:
        return _folder(artifact, _bytes(content))
    if artifact.format == "json":
        return _plain(artifact, _bytes(content))
    if artifact.format == "npy":
        return _array(artifact, content)
    if artifact.format == "arrow":
        return _table(artifact, content)
    return _file(artifact, _bytes(content))


def _bytes(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _folder(artifact: Artifact, content: bytes) -> Look:
    try:
        files: Sequence[FileEntry] = msgspec.json.decode(content, type=Manifest).files
    except UNREADABLE as error:
        raise SerializationError(f"its list of files cannot be read ({error})") from None
    rows = [[file.path, format_memory(file.size), file.digest[:12]] for file in files[:_FILES]]
    left = len(files) - _FILES
    total = format_memory(sum(file.size for file in files))
    return Look(
        named=named(artifact),
        facts=[("files", f"{len(files):,}"), ("together", total)],
        columns=["file", "size", "sha256"],
        rows=rows,
        more=f"{left:,} more files" if left > 0 else "",
    )


def _plain(artifact: Artifact, content: bytes) -> Look:
    record = own(artifact, content)
    if isinstance(record, Evaluation):
        return Look(named=named(artifact), evaluation=record)
    if isinstance(record, ModelVersion):
        # Its record says what its own page says better.
        return Look(named=named(artifact))
    value = untagged(content)
    if isinstance(value, str) and (drawn := _drawn(value)):
        return Look(named=named(artifact), drawing=drawn)
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    left = len(text) - _LETTERS
    return Look(
        named=named(artifact),
        text=text[:_LETTERS],
        more=f"{left:,} more characters" if left > 0 else "",
    )


def _file(artifact: Artifact, content: bytes) -> Look:
    kind = next((kind for mark, kind in _IMAGES.items() if content.startswith(mark)), "")
    if not kind and content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "image/webp"
    if kind:
        return Look(named=named(artifact), image=kind)
    if content.lstrip()[:1] == b"<" and (drawn := _drawn(content.decode("utf-8", "replace"))):
        return Look(named=named(artifact), drawing=drawn)
    head = content[: _LETTERS * 4]
    try:
        text = head.decode()[:_LETTERS]
    except UnicodeDecodeError as error:
        # A letter of several bytes may be cut at the end of the head.
        if len(head) - error.start > 3 or b"\0" in head:
            return Look(named=named(artifact), more="not looked into: it is no text and no image")
        text = head[: error.start].decode()
    if "\0" in text:
        return Look(named=named(artifact), more="not looked into: it is no text and no image")
    left = len(content) - len(text.encode())
    return Look(named=named(artifact), text=text, more=f"{left:,} more bytes" if left > 0 else "")


def _drawn(text: str) -> str:
    """Return a text as a picture, if it is SVG that only draws; else empty."""
    bare = text.lstrip("\ufeff \t\r\n")
    return drawing(bare) if bare.startswith("<") else ""


def _array(artifact: Artifact, content: bytes | Path) -> Look:
    np: Any = load("numpy")
    array: Any = codecs.look("npy", content, "numpy.ndarray")
    facts = [("shape", " × ".join(map(str, array.shape)) or "one value"), ("type", str(array.dtype))]
    flat = array.reshape(-1)[:_MOST_VALUES]
    bins: list[tuple[float, float]] = []
    if array.dtype.kind in "iufb" and flat.size:
        numbers = flat.astype("float64")
        finite = numbers[np.isfinite(numbers)]
        facts.append(("missing or infinite", f"{numbers.size - finite.size:,}"))
        if finite.size:
            facts += [("least", _number(finite.min())), ("mean", _number(finite.mean()))]
            facts += [("greatest", _number(finite.max())), ("deviation", _number(finite.std()))]
            bins = _bins(np, finite)
    more = f"figures of the first {_MOST_VALUES:,} values" if array.size > _MOST_VALUES else ""
    text = str(np.array2string(array, threshold=200, edgeitems=4, max_line_width=110))
    return Look(named=named(artifact), facts=facts, text=text[:_LETTERS], histogram=bins, more=more)


def _bins(np: Any, finite: Any) -> list[tuple[float, float]]:
    low, high = float(finite.min()), float(finite.max())
    if low == high or not math.isfinite(high - low):
        return []
    counts, edges = np.histogram(finite, bins=_BINS, range=(low, high))
    middles = (edges[:-1] + edges[1:]) / 2
    return [(float(middle), float(count)) for middle, count in zip(middles, counts, strict=True)]


def _table(artifact: Artifact, content: bytes | Path) -> Look:
    table: Any = read_table(content)
    names = [str(name) for name in table.column_names]
    shown = names[:_COLUMNS]
    head = table.slice(0, _ROWS)
    cells = [[_cell(value) for value in head.column(place).to_pylist()] for place in range(len(shown))]
    left = [
        f"{table.num_rows - _ROWS:,} more rows" if table.num_rows > _ROWS else "",
        f"{len(names) - _COLUMNS:,} more columns" if len(names) > _COLUMNS else "",
    ]
    about = [_statistics(shown[place], table.column(place)) for place in range(len(shown))]
    own = min(own_columns(table), len(names)) if artifact.kind == "pandas.DataFrame" else len(names)
    missing = sum(int(row[_MISSING].replace(",", "")) for row in about[:own])
    index = [("columns of the index", f"{len(names) - own:,}")] if own < len(names) else []
    return Look(
        named=named(artifact),
        facts=[
            ("rows", f"{table.num_rows:,}"),
            ("columns", f"{own:,}"),
            *index,
            ("missing values", f"{missing:,}"),
        ],
        columns=shown,
        rows=[list(row) for row in zip(*cells, strict=True)],
        more=", ".join(filter(None, left)),
        about=[
            ["column", "type", "missing", "least", "mean", "greatest"],
            *about,
        ],
    )


def _statistics(name: str, column: Any) -> list[str]:
    """Return the name, type, missing values and range of a column."""
    pa: Any = load("pyarrow")
    compute: Any = load("pyarrow.compute")
    kind = column.type
    row = [name, str(kind), f"{column.null_count:,}"]
    part = column.slice(0, _MOST_VALUES)
    try:
        if pa.types.is_floating(kind):
            # pandas writes a missing number as NaN, which Arrow counts as a value.
            gaps = int(compute.sum(compute.is_nan(part)).as_py() or 0)
            row[2] = f"{column.null_count + gaps:,}"
            part = part.filter(compute.invert(compute.is_nan(part)))
        if pa.types.is_dictionary(kind) or pa.types.is_nested(kind):
            return [*row, "", "", ""]
        ends: Any = compute.min_max(part).as_py()
        mean = ""
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found = compute.mean(part).as_py()
            mean = "" if found is None else _number(found)
        return [*row, _cell(ends["min"]), mean, _cell(ends["max"])]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [*row, "", "", ""]


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = _number(value) if isinstance(value, float) else str(value)
    return shortened(text.replace("\n", " "), _WIDTH)


def _number(value: float) -> str:
    return f"{float(value):.6g}"
