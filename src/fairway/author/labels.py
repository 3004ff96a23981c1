"""What tells a step from its siblings, for people: the plain values among its arguments, and few of them.

Nothing here waits for a step, and nothing is asked of a value that is not plain data.
"""

import datetime
import enum
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

from fairway.author.session import is_ref

_WIDTH = 40
_PARTS = 4
_FIELDS = 64
"""Fields of one argument that are looked at."""

_ITEMS = 4


def label(arguments: dict[str, object]) -> str:
    """The arguments of a call in a few words: "depth=2 rate=0.1".

    Fields of a dict, dataclass or struct stand for themselves, or with the argument's name where two have the same.
    """
    parts = list(islice(_parts(arguments), _PARTS + 1))
    more = " …" if len(parts) > _PARTS else ""
    return " ".join(parts[:_PARTS]) + more


def _parts(arguments: dict[str, object]) -> Iterator[str]:
    seen: set[str] = set()
    for name, value in arguments.items():
        if is_ref(value):
            continue
        text = _plain(value)
        if text is not None:
            named = [(name, text)]
        else:
            named = [(field, said) for field, inner in _fields(value) if (said := _plain(inner)) is not None]
        for field, said in named:
            key = field if field not in seen else f"{name}.{field}"
            seen.add(field)
            part = f"{key}={said}"
            if len(part) <= _WIDTH and part.isprintable():
                yield part


def _plain(value: object) -> str | None:
    """A value that can be read at a glance; None for any other."""
    if is_ref(value):
        return None
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float):
        exact = repr(float(value))
        return exact if len(exact) <= 10 else f"{value:.6g}"
    if isinstance(value, bool | int | str):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if type(value) in (list, tuple):
        items = cast("list[object]", value)
        said = [_plain(item) if not isinstance(item, list | tuple) else None for item in items[: _ITEMS + 1]]
        if 0 < len(items) <= _ITEMS and None not in said:
            return f"[{','.join(cast('list[str]', said))}]"
    return None


def _fields(value: object) -> Iterable[tuple[str, object]]:
    """What a value consists of, where its type says so."""
    if type(value) is dict:
        pairs = islice(cast("dict[object, object]", value).items(), _FIELDS)
        return [(key, inner) for key, inner in pairs if isinstance(key, str)]
    kind = type(value)
    for declared in (
        "__dataclass_fields__",
        "__struct_fields__",
        "__attrs_attrs__",
        "model_fields",
        "_fields",
    ):
        found = getattr(kind, declared, None)
        if isinstance(found, dict | tuple):
            names = [_name_of(one) for one in islice(cast("Iterable[object]", found), _FIELDS)]
            return [(name, inner) for name in names if (inner := getattr(value, name, None)) is not None]
    return ()


def _name_of(field: object) -> str:
    return field if isinstance(field, str) else str(getattr(field, "name", ""))
