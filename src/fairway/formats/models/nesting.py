"""Nested lists of JSON as one flat list and a shape, in time and memory that grow with what was sent.

numpy would make texts where numbers belong into an array of texts, each as wide as the longest: so what an array is made
of is looked at first.
"""

from itertools import chain
from typing import Any, cast

MAX_RANK = 16


def flat(data: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """The values, row by row, and the shape.

    Raises:
        ValueError: lists of one level differ in length, or there are more levels than an array has dimensions.
    """
    shape = (len(data),)
    while data and type(data[0]) is list:
        width = len(cast("list[Any]", data[0]))
        if len(shape) == MAX_RANK or set(map(type, data)) != {list} or set(map(len, data)) != {width}:
            raise ValueError("not a regular array")
        data = list(chain.from_iterable(data))
        shape += (width,)
    return data, shape
