"""Stored plain values as JSON that other programs understand.

The stored JSON has tags for the values that JSON lacks, such as `{"$tuple": [1, 2]}`. Here each becomes the nearest value of
JSON: a list, a text, the fields of a record. No class is looked up and nothing is imported, so anybody may have made the content.
"""

import base64
from typing import Any, cast

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import SerializationError

_LISTS = frozenset({"$tuple", "$set", "$frozenset"})
_PAIRS = frozenset({"$dict", "$OrderedDict", "$Counter"})


def untagged(data: bytes) -> object:
    """Return a stored value with dicts, lists, texts, numbers, booleans and None alone. Raises SerializationError."""
    try:
        return _plain(msgspec.json.decode(data))
    except (*UNREADABLE, KeyError, IndexError, TypeError) as error:
        raise SerializationError(f"the value cannot be read: {error}") from error


def _plain(tree: Any) -> object:
    if isinstance(tree, list):
        return [_plain(item) for item in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    fields = cast("dict[str, Any]", tree)
    tag = next(iter(fields), "")
    if tag[:1] != "$":
        return {name: _plain(item) for name, item in fields.items()}
    return _tagged(tag, fields)


def _tagged(tag: str, fields: dict[str, Any]) -> object:
    held = fields[tag]
    if tag in _LISTS:
        return [_plain(item) for item in held]
    if tag in _PAIRS:
        return {_key(_plain(key)): _plain(item) for key, item in held}
    if tag == "$record":
        return _plain(fields["fields"])
    if tag in ("$namedtuple", "$objects"):
        return _plain(fields.get("items", []))
    if tag == "$enum":
        return fields["name"] if "name" in fields else _plain(fields["value"])
    if tag == "$numpy" and "value" in fields:
        return _plain(fields["value"])
    if tag == "$int":
        return int(held, 16)
    if tag == "$range":
        return list(range(*(int(part, 16) for part in held))[:100_000])
    if tag == "$text":
        return base64.b64decode(held).decode("utf-8", "replace")
    return _plain(held)


def _key(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
