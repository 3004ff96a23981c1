"""JAX arrays as .npy files; read back, they are on JAX's default device.

Knows nothing of other frameworks.
"""

from typing import Any

import msgspec

from fairway.formats import numpy
from fairway.formats.encoded import Content, Encoded
from fairway.formats.frameworks import load


def encode(value: Any) -> Encoded | None:
    """A concrete array whose type numpy has; None for anything else."""
    jax = load("jax")
    if (
        not isinstance(value, jax.Array)
        or isinstance(value, jax.core.Tracer)
        or value.dtype.kind not in "biufc"
    ):
        return None
    encoded = numpy.encode(load("numpy").asarray(value))
    return encoded and msgspec.structs.replace(encoded, kind="jax.Array")


def decode(content: Content, kind: str = "") -> object:
    """The array."""
    return load("jax.numpy").asarray(numpy.decode(content))
