"""Short labels that tell the steps of one task apart: a few of the plain values among the arguments.

Labels are made for people. Nothing here waits for a step, and values that are not plain data are left alone.
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
"""The number of fields of one argument that are looked at."""

_ITEMS = 4


def label(arguments: dict[str, object]) -> str:
    """Describe the arguments of a call in a few words, such as "depth=2 rate=0.1".

    A dict, dataclass or struct is shown field by field. A field's name is preceded by the argument's name when
    another field already has that name.
    """
    parts = list(islice(_parts(arguments), _PARTS + 1))
    more = " …" if len(parts) > _PARTS else ""
    return " ".join(parts[:_PARTS]) + more


def _parts(arguments: dict[str, object]) -> Iterator[str]:
    """Yield one "name=value" for each short, printable value."""
    seen: set[str] = set()
    for name, value in arguments.items():
        # A look at a Ref's value would wait for its step, and the calls of a pipeline must not wait for their labels.
        if is_ref(value):
            continue
        text = _plain(value)
        if text is not None:
            named = [(name, text)]
        else:
            named = [(field, text) for field, inner in _fields(value) if (text := _plain(inner)) is not None]
        for field, shown in named:
            key = field if field not in seen else f"{name}.{field}"
            seen.add(field)
            part = f"{key}={shown}"
            if len(part) <= _WIDTH and part.isprintable():
                yield part


def _plain(value: object) -> str | None:
    """Return a short text for a value that can be read at a glance, or None for any other value."""
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
        texts = [_plain(item) if not isinstance(item, list | tuple) else None for item in items[: _ITEMS + 1]]
        if 0 < len(items) <= _ITEMS and None not in texts:
            return f"[{','.join(cast('list[str]', texts))}]"
    return None


def _fields(value: object) -> Iterable[tuple[str, object]]:
    """Return the fields of a dict or record with their values. Other values have none."""
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
    """Return a field's name, for fields given as texts and for fields given as objects."""
    return field if isinstance(field, str) else str(getattr(field, "name", ""))
