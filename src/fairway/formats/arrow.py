"""Tables in Arrow's IPC file format, uncompressed, so that they are read by memory mapping.

The way a pyarrow table, and whatever can become one, gets into a file and back. Knows no other table library.
"""

from pathlib import Path
from typing import Any, BinaryIO

from fairway.formats.encoded import SMALL, Content, Encoded
from fairway.formats.frameworks import load


def encode(value: Any) -> Encoded | None:
    """A pyarrow Table or RecordBatch; None for anything else."""
    pa = load("pyarrow")

    if isinstance(value, pa.RecordBatch):
        return encode_table(pa.Table.from_batches([value]), "pyarrow.RecordBatch", _note(value))
    return encode_table(value, "pyarrow.Table", _note(value)) if type(value) is pa.Table else None


def encode_table(table: Any, kind: str, note: str) -> Encoded:
    """A pyarrow table under the name of the type it stands for."""

    def write(stream: BinaryIO) -> None:
        write_table(stream, table)

    encoded = Encoded(format="arrow", kind=kind, note=note, write=write)
    if table.nbytes <= SMALL:
        return Encoded(format="arrow", kind=kind, note=note, data=encoded.to_bytes())
    return encoded


def write_table(stream: BinaryIO, table: Any) -> None:
    """Write a table as an IPC file."""
    pa = load("pyarrow")

    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.ipc.new_file(pa.PythonFile(stream, mode="w"), table.schema, options=options) as writer:
        writer.write_table(table)


def read_table(content: Content) -> Any:
    """The pyarrow table, whose columns are views of the content."""
    pa = load("pyarrow")

    if isinstance(content, Path):
        return pa.ipc.open_file(pa.memory_map(str(content))).read_all()
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(content))).read_all()


def decode(content: Content, kind: str = "") -> object:
    """The table, or the record batch when `kind` says so."""
    table = read_table(content)
    if kind != "pyarrow.RecordBatch":
        return table
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else table.schema.empty_table().to_batches()[0]


def _note(value: Any) -> str:
    return f"{value.num_rows} × {value.num_columns}"
