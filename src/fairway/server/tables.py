"""Arrays, data frames and pictures in requests and answers. Frameworks are those that the project has imported."""

import io
import sys
from typing import Any, cast, get_args

from fairway.author.endpoint import bare
from fairway.formats import flat

_PIXELS = 64 * 2**20
"""A small file can hold a picture of any size; one of more pixels is refused before it is decoded."""

_SPARSE = 8
_ALWAYS = 10_000
"""A frame has at most so many cells, or `_SPARSE` times the values that were sent if that is more."""

_NUMBERS: frozenset[type] = frozenset({int, float, bool})
_TEXTS: frozenset[type] = frozenset({str})
_WIDE = 64
"""A numpy text takes as much room as the longest one; an array of texts may be so many times as large as its content."""

_PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def is_frame(annotation: object) -> bool:
    """Whether it is a data frame of pandas."""
    return _named(annotation, "pandas", "DataFrame")


def is_array(annotation: object) -> bool:
    """Whether it is an array of numpy, with or without an element type."""
    return str(bare(annotation)).startswith(("numpy.ndarray", "<class 'numpy.ndarray'>"))


def is_picture(annotation: object) -> bool:
    """Whether it is `PIL.Image.Image` or a kind of it."""
    kind = bare(annotation)
    kinds = kind.__mro__ if isinstance(kind, type) else ()
    return any(_named(base, "PIL", "Image") for base in kinds)


def frame(given: object) -> object:
    """A data frame from rows, or from an object of columns.

    Raises ValueError for what is none, and for rows that have hardly a field in common.
    """
    parts = list(cast("dict[str, object]", given).values()) if isinstance(given, dict) else []
    if parts and all(isinstance(part, list) for part in parts):
        columns = cast("dict[str, list[Any]]", given)
        if len(set(map(len, columns.values()))) > 1:
            raise ValueError("Expected columns of one length")
        return sys.modules["pandas"].DataFrame(columns)
    rows = cast("list[Any]", given if isinstance(given, list) else [given])
    if not all(isinstance(row, dict) or (isinstance(row, list) and rows is given) for row in rows):
        raise ValueError("Expected rows, as objects or lists")
    values = sum(map(len, rows))
    fields: set[str] = set()
    width = 0
    for row in rows:
        if isinstance(row, dict):
            fields.update(cast("dict[str, object]", row))
        else:
            width = max(width, len(row))
    cells = len(rows) * max(len(fields), width)
    if cells > max(_ALWAYS, _SPARSE * values):
        raise ValueError(
            f"Expected rows with the same fields, got {len(rows)} rows with {max(len(fields), width)} fields, "
            "most of them missing"
        )
    return sys.modules["pandas"].DataFrame(rows)


def array(annotation: object, rows: object) -> object:
    """An array of the annotation's element type. Raises ValueError for what is ragged, no numbers, or of another type."""
    np = sys.modules["numpy"]
    element = next((get_args(part) for part in get_args(bare(annotation))[1:]), ())
    wanted = element[0] if element and isinstance(element[0], type) and element[0] is not Any else None
    cells, shape = (
        flat(cast("list[Any]", rows)) if isinstance(rows, list) else (cast("list[Any]", [rows]), ())
    )
    types = frozenset[type](map(type, cells))
    if types == _TEXTS and rows is not cells[0]:
        _check_width(cells)
    elif not types <= _NUMBERS:
        raise ValueError("Expected numbers, nested in lists")
    found = np.array(cells).reshape(shape)
    if found.dtype.kind == "O":
        raise ValueError("Expected numbers, nested in lists")
    if wanted is None:
        return found
    if found.size and not np.can_cast(found.dtype, wanted, casting="same_kind"):
        raise ValueError(f"Expected {wanted.__name__}, got {found.dtype.name}")
    return found.astype(wanted)


def picture(content: bytes) -> object:
    """A decoded picture. Raises ValueError for what is none, or too large."""
    pillow = sys.modules["PIL.Image"]
    try:
        opened = pillow.open(io.BytesIO(content), formats=_PICTURES)
        if opened.width * opened.height > _PIXELS:
            raise ValueError(f"a picture of {opened.width} x {opened.height} pixels is too large")
        opened.load()
    except (OSError, SyntaxError, EOFError, pillow.DecompressionBombError) as error:
        raise ValueError(f"not a picture that can be read ({', '.join(_PICTURES)})") from error
    return opened


def drawn(value: Any) -> tuple[bytes, bytes]:
    """A picture's content and media type: as PNG, or as JPEG where it was read from one."""
    kind = "JPEG" if value.format == "JPEG" else "PNG"
    buffer = io.BytesIO()
    value.save(buffer, kind)
    return buffer.getvalue(), f"image/{kind.lower()}".encode()


def _named(annotation: object, package: str, name: str) -> bool:
    kind = bare(annotation)
    module = str(getattr(kind, "__module__", ""))
    return module.partition(".")[0] == package and getattr(kind, "__name__", "") == name


def _check_width(texts: list[str]) -> None:
    if max(map(len, texts)) * len(texts) > max(_ALWAYS, _WIDE * sum(map(len, texts))):
        raise ValueError("Expected texts of similar length")
