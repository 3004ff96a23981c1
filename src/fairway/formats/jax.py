"""JAX arrays as .npy files. An array that is read back lies on JAX's default device.

This module knows no other framework.
"""

from typing import Any

import msgspec

from fairway.formats import numpy
from fairway.formats.encoded import Content, Encoded
from fairway.formats.frameworks import load


def encode(value: Any) -> Encoded | None:
    """Encode a concrete array with an element type of numpy. Other values give None."""
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
    """Return the array."""
    return load("jax.numpy").asarray(numpy.decode(content))
