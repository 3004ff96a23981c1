"""Facts with a text wherever a text can stand in them. They are made from their types, so a later field has it as well."""

import enum
import hashlib
import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from fairway.spec.artifact import Artifact


def inline(text: str) -> Artifact:
    """Return a small artifact that is a text."""
    data = msgspec.json.encode(text)
    return Artifact(
        format="json",
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        kind=text,
        note=text,
        inline=data,
    )


def filled(kind: Any, text: str, **fixed: Any) -> Any:
    """Return a value of a type that has the text in all its texts, but for the attributes that are given."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return filled(inner[0], text)
    if origin is typing.Literal:
        return inner[0]
    if origin in (typing.Union, types.UnionType):
        chosen = [one for one in (Artifact, str) if one in inner] or [
            one for one in inner if one is not type(None)
        ]
        return filled(chosen[0], text)
    if origin is tuple:
        return tuple(filled(one, text) for one in inner if one is not Ellipsis)
    if origin is list:
        return [filled(inner[0], text)]
    if origin is dict:
        return {filled(inner[0], text): filled(inner[1], text)}
    if kind is Artifact:
        return inline(text)
    if issubclass(kind, msgspec.Struct):
        parts = {one.name: one.type for one in msgspec.structs.fields(kind)}
        return kind(
            **{name: filled(part, text) for name, part in parts.items() if name not in fixed}, **fixed
        )
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    return {str: text, bytes: text.encode(), int: 1, float: 1.0, bool: True}[kind]


def texts_in(kind: Any, known: set[Any]) -> Iterator[tuple[str, str]]:
    """Yield the type and the name of every attribute below a type that has texts."""
    for part in typing.get_args(kind):
        yield from texts_in(part, known)
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or kind in known:
        return
    known.add(kind)
    for one in msgspec.structs.fields(kind):
        if str in _leaves(one.type):
            yield kind.__name__, one.name
        yield from texts_in(one.type, known)


def texts_with(text: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the type and the name of every attribute below a value that has the text."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for one in value:
            yield from texts_with(text, one)
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            part = getattr(value, name)
            if text in _leaves_of(part):
                yield type(value).__name__, name
            yield from texts_with(text, part)


def _leaves(kind: Any) -> set[Any]:
    if typing.get_origin(kind) is typing.Literal:
        return set()
    inner = typing.get_args(kind)
    return {kind} if not inner else {leaf for part in inner for leaf in _leaves(part)}


def _leaves_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _leaves_of(part)]
    return [value] if isinstance(value, str) else []
