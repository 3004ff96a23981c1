"""Objects as YAML, for a person to read and for `kubectl apply -f`.

Every text is quoted, so that none is read as another type.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from fairway.cluster.kinds import Object

Tree: TypeAlias = dict[str, Any] | list[Any] | tuple[Any, ...]


def write(objects: Iterable[Object]) -> str:
    """Return objects as the documents of one YAML text."""
    return "".join("\n".join(["---", *_lines(msgspec.to_builtins(one)), ""]) for one in objects)


def _lines(tree: Tree) -> list[str]:
    if isinstance(tree, list | tuple):
        return [line for inner in tree for line in _item(inner)]
    return [line for key, inner in tree.items() for line in _entry(f"{_key(key)}:", inner)]


def _entry(head: str, value: Tree | str | int) -> list[str]:
    """Return the lines of a key and its value."""
    if isinstance(value, dict | list | tuple) and value:
        return [head, *(f"  {line}" for line in _lines(value))]
    return [f"{head} {_scalar(value)}"]


def _item(value: Tree | str | int) -> list[str]:
    """Return the lines of one item of a list. Its first line has the dash."""
    if isinstance(value, dict | list | tuple) and value:
        first, *rest = _lines(value)
        return [f"- {first}", *(f"  {line}" for line in rest)]
    return [f"- {_scalar(value)}"]


def _key(key: str) -> str:
    return key if key.isascii() and key.isalpha() else _scalar(key)


def _scalar(value: Tree | str | int) -> str:
    # A JSON text is a YAML scalar with the same meaning; `{}` and `[]` too.
    return msgspec.json.encode(value).decode()
