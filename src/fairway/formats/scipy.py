"""scipy's sparse matrices and arrays, stored as the arrays that they consist of and read by memory mapping.

This module knows dense arrays only through their codec.
"""

from typing import Any

import msgspec

from fairway.formats import bundle, numpy
from fairway.formats.encoded import Content, Encoded, kind_of
from fairway.formats.frameworks import load

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords"),
    "dia": ("data", "offsets"),
}


def encode(value: Any) -> Encoded | None:
    """Encode a sparse matrix or array of any layout. Other values give None."""
    sparse = load("scipy.sparse")

    if not sparse.issparse(value) or not type(value).__module__.startswith("scipy.sparse"):
        return None
    stored = value if value.format in _PARTS else value.tocoo()
    parts = {name: getattr(stored, name) for name in _PARTS[stored.format]}
    content = {"class": type(value).__name__, "layout": stored.format, "shape": list(value.shape), **parts}
    if value.format == "coo":
        content["canonical"] = bool(value.has_canonical_format)
    note = f"{value.dtype} {value.shape}, {value.nnz} stored"
    return msgspec.structs.replace(
        bundle.encode(content, numpy.encode), format="sparse", kind=kind_of(value), note=note
    )


def decode(content: Content, kind: str = "") -> object:
    """Return the sparse matrix or array with its class."""
    sparse = load("scipy.sparse")

    stored: Any = bundle.decode(content, lambda _, data, kind: numpy.decode(data), importing=False)
    name, layout = stored["class"], stored["layout"]
    if layout not in _PARTS or name not in {
        f"{key}_{end}" for key in (*_PARTS, "lil", "dok") for end in ("matrix", "array")
    }:
        raise ValueError(f"unknown sparse layout {name!r}")
    ending = name.rpartition("_")[2]
    parts = tuple(stored[part] for part in _PARTS[layout])
    value = getattr(sparse, f"{layout}_{ending}")(parts, shape=tuple(stored["shape"]))
    # The constructor chooses the smallest type of index that fits, and forgets that entries were in order.
    for part, array in zip(_PARTS[layout], parts, strict=True):
        setattr(value, part, array)
    if "canonical" in stored:
        value.has_canonical_format = stored["canonical"]
    return value if name.startswith(layout) else getattr(sparse, name)(value)
