"""numpy arrays as .npy files, which are read by memory mapping.

An array that is read back is writable. Pages that are written to are copied, and the stored file never changes.
Arrays of Python objects are not written here, because only unpickling could read them.
"""

import io
from pathlib import Path
from typing import Any, BinaryIO

from fairway.formats.encoded import SMALL, Content, Encoded
from fairway.formats.frameworks import load

_KINDS = "biufcmMSUV"
_REGISTERED = 2
"""The mark that numpy gives to an element type from another package. The format cannot name such a type."""


def encode(value: Any) -> Encoded | None:
    """Encode an array of any shape and order. Subclasses with further state and arrays of objects give None."""
    if (
        type(value).__name__ not in ("ndarray", "memmap")
        or type(value).__module__.partition(".")[0] != "numpy"
    ):
        return None
    if value.dtype.hasobject or value.dtype.kind not in _KINDS or not _is_named(value.dtype):
        return None
    encoded = Encoded(
        format="npy",
        kind="numpy.ndarray",
        note=f"{value.dtype} {value.shape}",
        write=lambda stream: write_array(stream, value),
    )
    if value.nbytes <= SMALL:
        return Encoded(format="npy", kind=encoded.kind, note=encoded.note, data=encoded.to_bytes())
    return encoded


def _is_named(dtype: Any) -> bool:
    """Tell whether the format can name everything in an element type."""
    if dtype.isbuiltin == _REGISTERED or dtype.metadata:
        return False
    if not dtype.names:
        return True
    npy = load("numpy.lib.format")
    try:
        again = npy.descr_to_dtype(npy.dtype_to_descr(dtype))
    except ValueError:
        return False
    # Equality leaves out alignment, titles and the class of records. The text of a type shows them.
    return again == dtype and repr(again) == repr(dtype)


def write_array(stream: BinaryIO, array: Any) -> None:
    """Write an array in the .npy format. The data of a contiguous array is not copied."""
    np = load("numpy")
    npy = load("numpy.lib.format")

    plain = np.asarray(array)
    if not (plain.flags.c_contiguous or plain.flags.f_contiguous):
        plain = np.ascontiguousarray(plain)
    if plain.dtype.itemsize == 0 or plain.size == 0 or plain.dtype.names:
        npy.write_array(stream, plain, allow_pickle=False)
        return
    npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(plain))
    flat = (plain if plain.flags.c_contiguous else plain.T).reshape(-1).view(np.uint8)
    stream.write(memoryview(flat))


def decode(content: Content, kind: str = "") -> object:
    """Return the array: mapped from a path, copied from bytes, or as a view. Raises ValueError for objects."""
    np = load("numpy")
    npy = load("numpy.lib.format")

    if isinstance(content, Path):
        return np.asarray(npy.open_memmap(content, mode="c"))
    if isinstance(content, bytes):
        return npy.read_array(io.BytesIO(content), allow_pickle=False)
    head = io.BytesIO(content[: 2**16])
    version = npy.read_magic(head)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(head)
    count = int(np.prod(shape, dtype=np.int64))
    if dtype.hasobject or dtype.itemsize == 0 or count == 0 or version not in ((1, 0), (2, 0)):
        return npy.read_array(io.BytesIO(content), allow_pickle=False)
    flat = np.frombuffer(content, dtype=dtype, count=count, offset=head.tell())
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
