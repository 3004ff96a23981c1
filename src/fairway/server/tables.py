"""Arrays, data frames and pictures in requests and answers. Frameworks are those that the project has imported."""

import io
import sys
from typing import Any, cast, get_args

from fairway.author.endpoint import bare

_PIXELS = 64 * 2**20
"""A small file can hold a picture of any size; one of more pixels is refused before it is decoded."""

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
    """A data frame of rows, or of one row. Raises ValueError."""
    rows = cast("list[object]", given) if isinstance(given, list) else [given]
    if not all(isinstance(row, dict) or (isinstance(row, list) and rows is given) for row in rows):
        raise ValueError("Expected rows, as objects or lists")
    return sys.modules["pandas"].DataFrame(rows)


def array(annotation: object, rows: object) -> object:
    """Raises ValueError for what is ragged, or not of the annotation's element type."""
    element = next((get_args(part) for part in get_args(bare(annotation))[1:]), ())
    wanted = element[0] if element and isinstance(element[0], type) and element[0] is not Any else None
    found = sys.modules["numpy"].asarray(rows)
    if found.dtype.kind == "O" or not isinstance(rows, list | int | float):
        raise ValueError("Expected numbers, nested in lists")
    if wanted is None:
        return found
    if found.size and not sys.modules["numpy"].can_cast(found.dtype, wanted, casting="same_kind"):
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
