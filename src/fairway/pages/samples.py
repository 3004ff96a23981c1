"""The stored samples of a version as rows: its inputs, and the outputs that every server must reproduce."""

import math
from typing import Any, cast

import msgspec

from fairway.formats.untagged import untagged
from fairway.ports.platform import Platform
from fairway.spec.errors import FairwayError, SerializationError
from fairway.spec.model import ModelVersion, Signature, TensorSpec

_MOST_BYTES = 2 * 2**20
_MOST_COLUMNS = 60


class SampleRows(msgspec.Struct, kw_only=True):
    """Samples as rows.

    Attributes:
        inputs: the names of the inputs or columns.
        outputs: the names of the outputs.
        rows: for each row the values of `inputs` and then those of `outputs`. A value is plain, or a list.
        why: the reason why there are no rows.
    """

    inputs: list[str] = []
    outputs: list[str] = []
    rows: list[list[object]] = []
    why: str = ""


async def samples_of(platform: Platform, version: ModelVersion) -> SampleRows:
    """Read the samples of a version. Samples that cannot be shown give the reason instead."""
    stored, signature = version.candidate.samples, version.signature
    if stored is None or signature is None:
        return SampleRows(why="it was registered without samples")
    if stored.size > _MOST_BYTES:
        return SampleRows(why="its samples are too large to be shown")
    try:
        content = stored.inline if stored.inline is not None else await platform.read(stored)
        return rows_of(content, signature)
    except FairwayError as error:
        return SampleRows(why=error.message)


def rows_of(content: bytes, signature: Signature) -> SampleRows:
    """Return stored samples as rows. Raises SerializationError."""
    held: Any = untagged(content)
    try:
        inputs = [_columns(held["inputs"][spec.name], spec, signature.columns) for spec in signature.inputs]
        outputs = [_columns(held["outputs"][spec.name], spec, ()) for spec in signature.outputs]
        of_inputs = [column for some in inputs for column in some]
        of_outputs = [column for some in outputs for column in some]
        values = [values for _, values in (*of_inputs, *of_outputs)]
        rows = [list(row) for row in zip(*values, strict=True)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SerializationError(f"the samples cannot be read: {type(error).__name__}") from None
    return SampleRows(
        inputs=[name for name, _ in of_inputs], outputs=[name for name, _ in of_outputs], rows=rows
    )


def _columns(tensor: Any, spec: TensorSpec, names: tuple[str, ...]) -> list[tuple[str, list[object]]]:
    """Return a tensor as columns by name: one for each element of a short row, else one with whole rows."""
    shape = cast("list[int]", tensor["shape"])
    data = cast("list[object]", tensor["data"])
    if math.prod(shape) != len(data):
        raise ValueError("the values do not fill the shape")
    count = int(shape[0])
    if len(shape) == 1:
        return [(spec.name, data[:count])]
    width = len(data) // count if count else 0
    rows = [data[place * width : (place + 1) * width] for place in range(count)]
    if len(shape) == 2 and width <= _MOST_COLUMNS:
        own = names if len(names) == width else [f"{spec.name} {place}" for place in range(width)]
        return [(name, [row[place] for row in rows]) for place, name in enumerate(own)]
    return [(spec.name, [_nested(row, shape[1:]) for row in rows])]


def _nested(flat: list[object], shape: list[int]) -> object:
    """Return the values of one row as lists within lists."""
    if len(shape) <= 1:
        return flat
    size = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[place * size : (place + 1) * size], shape[1:]) for place in range(shape[0])]
