"""Arrays, data frames and pictures in requests and answers. Uses only frameworks that the project has imported."""

import io
import sys
from typing import Any, cast, get_args

from fairway.author.endpoint import bare
from fairway.formats import flat

_PIXELS = 64 * 2**20
"""Maximum number of pixels. A small file can contain a huge picture, so the size is checked before decoding."""

_SPARSE = 8
_ALWAYS = 10_000
"""A frame may have this many cells, or `_SPARSE` times the number of values that were sent if that is more."""

_NUMBERS: frozenset[type] = frozenset({int, float, bool})
_TEXTS: frozenset[type] = frozenset({str})
_WIDE = 64
"""An array of texts may be this many times as large as its content: in numpy, each text takes the room of the longest."""

_PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def is_frame(annotation: object) -> bool:
    """Tell whether the annotation is a data frame of pandas."""
    return _named(annotation, "pandas", "DataFrame")


def is_array(annotation: object) -> bool:
    """Tell whether the annotation is an array of numpy, with or without an element type."""
    return str(bare(annotation)).startswith(("numpy.ndarray", "<class 'numpy.ndarray'>"))


def is_picture(annotation: object) -> bool:
    """Tell whether the annotation is `PIL.Image.Image` or a subclass."""
    kind = bare(annotation)
    kinds = kind.__mro__ if isinstance(kind, type) else ()
    return any(_named(base, "PIL", "Image") for base in kinds)


def frame(given: object) -> object:
    """Make a data frame from rows, or from an object of columns.

    Raises ValueError for any other value, and for rows that have too few fields in common.
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
    """Make an array of the annotation's element type. Raises ValueError for ragged rows and values of another type."""
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
    """Decode a picture. Raises ValueError for other content and for a picture that is too large."""
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
    """Encode a picture and return its content and media type. A picture that came as JPEG stays JPEG; others become PNG."""
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
