"""polars tables and series in Arrow's IPC file format, written and read by polars itself.

This module knows no other table library.
"""

import io
from pathlib import Path
from typing import Any, BinaryIO

from fairway.formats.encoded import SMALL, Content, Encoded
from fairway.formats.frameworks import load


def encode(value: Any) -> Encoded | None:
    """Encode a DataFrame or Series. Lazy frames and columns of Python objects give None."""
    pl = load("polars")

    if type(value) is pl.DataFrame:
        kind, frame, note = "polars.DataFrame", value, f"{value.height} × {value.width}"
    elif type(value) is pl.Series:
        kind, frame, note = "polars.Series", value.to_frame(), f"{value.dtype} ({len(value)},)"
    else:
        return None
    if any(dtype == pl.Object for dtype in frame.dtypes):
        return None

    def write(stream: BinaryIO) -> None:
        frame.write_ipc(stream, compression="uncompressed")

    encoded = Encoded(format="arrow", kind=kind, note=note, write=write)
    if frame.estimated_size() <= SMALL:
        return Encoded(format="arrow", kind=kind, note=note, data=encoded.to_bytes())
    return encoded


def decode(content: Content, kind: str = "") -> object:
    """Return the frame, or a series when `kind` asks for one."""
    pl = load("polars")

    frame = pl.read_ipc(content if isinstance(content, Path) else io.BytesIO(content))
    return frame.to_series() if kind == "polars.Series" else frame
