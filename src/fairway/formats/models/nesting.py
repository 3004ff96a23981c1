"""Nested lists of JSON as one flat list and a shape. Time and memory grow with the size of the lists only.

The values are looked at before numpy gets them. numpy would make an array of texts from numbers with one text among
them, and each cell would be as wide as the longest text.
"""

from itertools import chain
from typing import Any, cast

MAX_RANK = 16
"""The largest number of dimensions."""


def flat(data: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Return the values row by row, and the shape.

    Raises:
        ValueError: lists of one level differ in length, or there are more levels than `MAX_RANK`.
    """
    shape = (len(data),)
    while data and type(data[0]) is list:
        width = len(cast("list[Any]", data[0]))
        if len(shape) == MAX_RANK or set(map(type, data)) != {list} or set(map(len, data)) != {width}:
            raise ValueError("not a regular array")
        data = list(chain.from_iterable(data))
        shape += (width,)
    return data, shape
