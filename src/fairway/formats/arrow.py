"""Tables in Arrow's IPC file format, without compression, so that they are read by memory mapping.

This is the way of a pyarrow table, and of everything that can become one, into a file and back. This module knows no
other table library.
"""

from pathlib import Path
from typing import Any, BinaryIO

from fairway.formats.encoded import SMALL, Content, Encoded
from fairway.formats.frameworks import load


def encode(value: Any) -> Encoded | None:
    """Encode a pyarrow Table or RecordBatch.

    Returns:
        the encoded table; None for other values, and for types that each process would have to register first.
    """
    pa = load("pyarrow")

    if isinstance(value, pa.Table | pa.RecordBatch) and not all(map(is_known, value.schema.types)):
        return None
    if isinstance(value, pa.RecordBatch):
        return encode_table(pa.Table.from_batches([value]), "pyarrow.RecordBatch", _note(value))
    return encode_table(value, "pyarrow.Table", _note(value)) if type(value) is pa.Table else None


def encode_table(table: Any, kind: str, note: str) -> Encoded:
    """Encode a pyarrow table under the name of the type that it stands for."""

    def write(stream: BinaryIO) -> None:
        write_table(stream, table)

    encoded = Encoded(format="arrow", kind=kind, note=note, write=write)
    if table.nbytes <= SMALL:
        return Encoded(format="arrow", kind=kind, note=note, data=encoded.to_bytes())
    return encoded


def is_known(arrow_type: Any) -> bool:
    """Tell whether every process reads an Arrow type as the same type.

    It does so when the type contains no extension types but those of Arrow itself.
    """
    name = getattr(arrow_type, "extension_name", None)
    if name is not None and not name.startswith("arrow."):
        return False
    parts = [
        getattr(arrow_type, part, None) for part in ("value_type", "storage_type", "key_type", "item_type")
    ]
    fields = [arrow_type.field(place).type for place in range(arrow_type.num_fields)]
    return all(is_known(part) for part in (*parts, *fields) if part is not None)


def write_table(stream: BinaryIO, table: Any) -> None:
    """Write a table as an IPC file."""
    pa = load("pyarrow")

    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.ipc.new_file(pa.PythonFile(stream, mode="w"), table.schema, options=options) as writer:
        if table.num_rows:
            writer.write_table(table)
        else:
            # Arrow writes the dictionaries of a table with its first batch, and an empty table has no batch.
            writer.write_batch(_empty_batch(table))


def _empty_batch(table: Any) -> Any:
    """Return a batch without rows that has the dictionaries of an empty table."""
    pa = load("pyarrow")

    arrays = [
        column.chunk(0) if column.num_chunks else pa.array([], type=column.type) for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def read_table(content: Content) -> Any:
    """Return the pyarrow table. Its columns are views of the content."""
    pa = load("pyarrow")

    if isinstance(content, Path):
        return pa.ipc.open_file(pa.memory_map(str(content))).read_all()
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(content))).read_all()


def decode(content: Content, kind: str = "") -> object:
    """Return the table, or a record batch when `kind` asks for one."""
    table = read_table(content)
    if kind != "pyarrow.RecordBatch":
        return table
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else _empty_batch(table)


def _note(value: Any) -> str:
    """Return rows and columns for people."""
    return f"{value.num_rows} × {value.num_columns}"
