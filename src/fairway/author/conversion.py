"""Values of annotated types, made from JSON, TOML or Python values and checked at every level.

Every error names the flag and the place in the value, such as `cfg.layers[2].width`. Nothing is ignored and nothing
is rounded: an unknown field is refused, and a Decimal is made from the digits that were written.
"""

import contextlib
import datetime as dt
import enum
import types
import uuid
from collections import abc, defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeGuard, Union, cast, get_args, get_origin

import msgspec

from fairway.author import fields, moments
from fairway.author.documents import Written, plain
from fairway.author.files import File, Folder, Secret
from fairway.spec.errors import UsageError

SETS = (set, frozenset, abc.Set, abc.MutableSet)
LISTS = (list, tuple, *SETS, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
_DICTS = (dict, abc.Mapping, abc.MutableMapping)
_NAMED = (Path, PurePath, File, Folder, Secret)
_EXACT: dict[object, Callable[[str], object]] = {
    Decimal: Decimal, complex: complex, uuid.UUID: uuid.UUID,
}  # fmt: skip
_NOT_FINITE = ("nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
_LIMITS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (lambda value, limit: value >= limit, "at least"),
    "gt": (lambda value, limit: value > limit, "more than"),
    "le": (lambda value, limit: value <= limit, "at most"),
    "lt": (lambda value, limit: value < limit, "less than"),
    "multiple_of": (lambda value, limit: value % limit == 0, "a multiple of"),
    "min_length": (lambda value, limit: len(value) >= limit, "of a length of at least"),
    "max_length": (lambda value, limit: len(value) <= limit, "of a length of at most"),
}
"""Limits of `Annotated` by attribute: the check, and the words for a value that fails it."""


class Place(msgspec.Struct, frozen=True):
    """The place of a value: the parameter's flag, and the path to the value inside it.

    Attributes:
        flag: the flag, or the parameter's name for values from Python code.
        path: the path to the value, such as "cfg.layers[2]".
        inside: True below the outermost value.
        lenient: True leaves values of unknown types alone. Values that Python code hands over may have such types.
    """

    flag: str
    path: str
    inside: bool = False
    lenient: bool = False

    def at(self, step: str) -> "Place":
        """Return a place inside this one, one step further such as ".name" or "[2]"."""
        return Place(self.flag, self.path + step, True, self.lenient)


def unwrap(annotation: object) -> tuple[object, bool]:
    """Strip `Annotated`, aliases and `None` from an annotation.

    Returns:
        the bare type, and True when None is allowed.
    """
    if get_origin(annotation) is Annotated:
        return unwrap(get_args(annotation)[0])
    inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    if inner is not None and not isinstance(annotation, type):
        return unwrap(inner)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [item for item in get_args(annotation) if item is not type(None)]
        optional = len(members) < len(get_args(annotation))
        return (unwrap(members[0])[0] if len(members) == 1 else annotation), optional
    return annotation, False


def limits(annotation: object) -> list[object]:
    """Return the limits that `Annotated` adds to a type, also through aliases and `| None`."""
    found: list[object] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            found += more
            continue
        inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
        if inner is not None and not isinstance(annotation, type):
            annotation = inner
            continue
        members = [item for item in get_args(annotation) if item is not type(None)]
        if get_origin(annotation) in (Union, types.UnionType) and len(members) == 1:
            annotation = members[0]
            continue
        return found


def convert(place: Place, annotation: object, value: object) -> object:
    """Convert a JSON or TOML value to the annotation's type. Raises UsageError."""
    inner, optional = cast("tuple[Any, bool]", unwrap(annotation))
    if value is None and (optional or inner is None or inner is type(None)):
        return None
    if inner in (object, Any):
        return plain(value)
    return check_limits(place, annotation, _converted(place, inner, value))


def check_limits(place: Place, annotation: object, value: object) -> object:
    """Return the value if it is within the limits of its annotation. Raises UsageError."""
    for limit in limits(annotation):
        for name, (holds, words) in _LIMITS.items():
            bound = getattr(limit, name, None)
            if bound is None or isinstance(limit, type):
                continue
            with contextlib.suppress(TypeError):
                if not holds(value, bound):
                    raise wrong(place, annotation, plain(value), f" {words} {bound}")
        pattern = getattr(limit, "pattern", None)
        if isinstance(pattern, str) and isinstance(value, str):
            import re

            if not re.search(pattern, value):
                raise wrong(place, annotation, value, f" that matches {pattern!r}")
    return value


def _converted(place: Place, inner: object, value: object) -> object:
    """Convert a value to a type that is neither optional nor `object`. Raises UsageError."""
    origin = get_origin(inner) or inner
    if origin in (Union, types.UnionType):
        return _member(place, inner, value)
    if origin is Literal or is_a(inner, enum.Enum):
        return chosen(place, inner, value)
    if fields.is_record(inner):
        return _record(place, inner, value)
    if origin in LISTS:
        return _several(place, inner, value)
    if origin in (*_DICTS, defaultdict):
        return _mapping(place, inner, value)
    try:
        return _scalar(place, inner, value)
    except (ValueError, TypeError, ArithmeticError, msgspec.MsgspecError):
        raise wrong(place, inner, plain(value)) from None


def _scalar(place: Place, inner: Any, value: object) -> object:
    """Convert a single value. Raises ValueError, TypeError, ArithmeticError or a msgspec error when it does not fit."""
    if inner in moments.FORMS:
        return _moment(cast("type", inner), value)
    if inner is float:
        return _float(value)
    if inner is str and type(value) is str:
        return value
    if inner in (int, bool) and type(value) is inner:
        return value
    if inner in _NAMED and isinstance(value, str):
        return named(place, inner, value)
    if isinstance(inner, type) and isinstance(value, inner) and inner not in (int, str):
        return value
    if inner in _EXACT and type(value) in (str, int, Written):
        return _EXACT[inner](value.text if isinstance(value, Written) else str(value))
    if inner in (*_EXACT, int, bool, str) or inner in _NAMED:
        raise ValueError(value)
    if place.lenient and inner is not bytes:
        return value
    return msgspec.convert(plain(value), cast("type[object]", inner))


def _float(value: object) -> float:
    """Convert a number, or a text for a number that is not finite. Raises ValueError."""
    if isinstance(value, str) and value.lower() in _NOT_FINITE:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    return float(value)


def _moment(kind: type, value: object) -> object:
    """Convert a date, time, datetime or timedelta. Raises ValueError."""
    if type(value) is kind:
        return value
    if isinstance(value, str):
        return moments.moment(kind, value)
    if kind is dt.timedelta and isinstance(value, int | float) and not isinstance(value, bool):
        return dt.timedelta(seconds=value)
    if kind is dt.datetime and type(value) is dt.date:
        return dt.datetime.combine(value, dt.time())
    raise ValueError(value)


def named(place: Place, inner: object, text: str) -> object:
    """Return the path, file, folder or secret of that name. Raises UsageError when the file does not exist."""
    made = cast("Callable[[str], object]", inner)(text)
    if isinstance(made, File) and not made.path.exists():
        raise UsageError(f"{place.flag} takes {article(inner)}, and there is none at {text!r}")
    return made


def chosen(place: Place, annotation: object, given: object) -> object:
    """Return the choice of a Literal or Enum.

    A member of an Enum is found by name, then by value. Raises UsageError.
    """
    given = plain(given)
    if get_origin(annotation) is Literal:
        named = [(one.name if isinstance(one, enum.Enum) else one, one) for one in get_args(annotation)]
    else:
        named = list(cast("type[enum.Enum]", annotation).__members__.items())
    values = [(one.value if isinstance(one, enum.Enum) else one, one) for _, one in named]
    # Types are compared too, because True equals 1 in Python.
    found = [one for _, one in named if type(one) is type(given) and one == given]
    found += [one for name, one in named if type(name) is type(given) and name == given]
    found += [one for value, one in values if type(value) is type(given) and value == given]
    found += [one for value, one in values if type(given) is str and str(value) == given]
    if not found:
        raise wrong(place, annotation, given)
    return found[0]


def _member(place: Place, union: object, value: object) -> object:
    """Convert a value to one type of a union. Raises UsageError.

    The value's own type is tried first, then the others in order.
    """
    members = [item for item in get_args(union) if item is not type(None)]
    own: type = float if isinstance(value, Written) else type(value)
    ordered = sorted(members, key=lambda member: unwrap(member)[0] is not own)
    errors: list[tuple[int, UsageError]] = []
    for member in ordered:
        try:
            return convert(place, member, value)
        except UsageError as error:
            inner = unwrap(member)[0]
            if _is_dict(value) and fields.is_record(inner):
                known = fields.of(inner)
                errors.append((sum(name in known for name in value), error))
    # The record that shares most names with the value is the one that was meant, so its error helps most.
    if errors:
        raise max(errors, key=lambda pair: pair[0])[1]
    raise wrong(place, union, plain(value))


def _record(place: Place, kind: object, value: object) -> object:
    """Convert a value to a record, field by field. Raises UsageError."""
    base = get_origin(kind) or kind
    if isinstance(base, type) and not fields.is_typed_dict(base) and isinstance(value, base):
        return value
    known = fields.of(kind)
    if _is_list(value) and fields.is_named_tuple(base):
        items = value
        if len(items) > len(known):
            raise wrong(place, kind, plain(value), f" of at most {len(known)} items")
        value = dict(zip(known, items, strict=False))
    if not _is_dict(value):
        raise wrong(place, kind, plain(value))
    given = dict(value)
    _check_tag(place, kind, given)
    for entry in given:
        if entry not in known:
            raise _unknown(place, kind, entry, list(known))
    for name, field in known.items():
        if field.required and name not in given:
            raise UsageError(
                f"{place.flag} takes {article(kind)}{_where(place)}, which needs {name!r}",
                hint=f"it has {', '.join(known)}",
            )
    converted = {
        known[name].name: convert(place.at(f".{name}"), known[name].annotation, item)
        for name, item in given.items()
    }
    try:
        return cast("Callable[..., object]", base)(**converted)
    except UsageError:
        raise
    except Exception as error:
        raise wrong(place, kind, plain(value), f" ({type(error).__name__}: {error})") from None


def _check_tag(place: Place, kind: object, given: dict[str, object]) -> None:
    """Remove the entry that tells tagged structs apart. Raises UsageError when it is the tag of another struct."""
    config = getattr(get_origin(kind) or kind, "__struct_config__", None)
    name, tag = getattr(config, "tag_field", None), getattr(config, "tag", None)
    if name is not None and given.pop(name, tag) != tag:
        raise wrong(place.at(f".{name}"), Literal[tag], plain(given))


def _unknown(place: Place, kind: object, entry: str, known: list[str]) -> UsageError:
    """Return the error for an entry that the record does not have.

    The entry is refused because a misspelt one would leave its default in place unnoticed.
    """
    import difflib

    near = difflib.get_close_matches(entry, known, n=1)
    if place.inside:
        message = (
            f"{place.flag} has an unknown entry {place.path}.{entry}: {type_name(kind)} has no {entry!r}"
        )
    else:
        message = f"{place.flag} takes {article(kind)}, which has no {entry!r}"
    return UsageError(
        message,
        hint=(f"did you mean `{near[0]}`? " if near else "") + f"it has {', '.join(known) or 'no fields'}",
    )


def _several(place: Place, kind: object, value: object) -> object:
    """Convert a value to a list, set or tuple, item by item. Raises UsageError."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if not _is_list(value) and not (origin in SETS and _is_set(value)):
        raise wrong(place, kind, plain(value))
    items = list(cast("list[object]", value))
    if origin is tuple and arguments and arguments[-1:] != (...,):
        kinds = () if arguments == ((),) else arguments
        if len(kinds) != len(items):
            raise wrong(place, kind, plain(value), f" of {len(kinds)} items")
    else:
        kinds = [arguments[0] if arguments else object] * len(items)
    pairs = enumerate(zip(kinds, items, strict=True))
    converted = [convert(place.at(f"[{number}]"), one, item) for number, (one, item) in pairs]
    try:
        return gather(kind, converted)
    except TypeError as error:
        raise wrong(place, kind, plain(value), f" ({error})") from None


def gather(annotation: object, items: list[object]) -> object:
    """Return the items in the container that the annotation names."""
    kind = get_origin(annotation) or annotation
    if kind is tuple:
        return tuple(items)
    return frozenset(items) if kind is frozenset else set(items) if kind in SETS else items


def _mapping(place: Place, kind: object, value: object) -> object:
    """Convert a value to a dict, entry by entry. Raises UsageError."""
    if not _is_dict(value):
        raise wrong(place, kind, plain(value))
    key_kind, item_kind = get_args(kind) or (object, object)
    found: dict[object, object] = {}
    for key, item in value.items():
        inside = place.at(f".{key}")
        found[_key(inside, key_kind, key)] = convert(inside, item_kind, item)
    if (get_origin(kind) or kind) is defaultdict:
        raise wrong(place, kind, plain(value))
    return found


def _key(place: Place, kind: object, key: object) -> object:
    """Convert a dict's key. JSON writes every key as a text, so numbers are parsed from the text."""
    inner = cast("Any", unwrap(kind)[0])
    if inner in (int, float) and isinstance(key, str):
        try:
            return cast("Callable[[str], object]", inner)(key)
        except ValueError:
            raise wrong(place, kind, key) from None
    return convert(place, kind, key)


def _is_dict(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, list | tuple)


def _is_set(value: object) -> bool:
    return isinstance(value, set | frozenset)


def is_a(annotation: object, kind: type) -> bool:
    """Tell whether an annotation is a class that derives from the given one."""
    return isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, kind)


def choices(annotation: object) -> tuple[str, ...]:
    """Return the texts of the choices of a Literal or Enum. Other types have none."""
    if get_origin(annotation) is Literal:
        return tuple(one.name if isinstance(one, enum.Enum) else str(one) for one in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.name for member in annotation)
    return ()


def wrong(place: Place, annotation: object, given: object, more: str = "") -> UsageError:
    """Return the error for a value that does not fit its type."""
    inner = unwrap(annotation)[0]
    texts = choices(inner)
    form = moments.FORMS.get(inner, "") if isinstance(inner, type) else ""
    hint = f"one of {', '.join(texts)}" if texts else form
    if inner in (bytes, bytearray):
        hint = "written in base64"
    return UsageError(
        f"{place.flag} takes {article(annotation)}{_where(place)}{more}, not {given!r}", hint=hint
    )


def _where(place: Place) -> str:
    """Return the place in the words of an error; it is empty for the outermost value."""
    return f" at {place.path}" if place.inside else ""


def article(annotation: object) -> str:
    """Return an annotation in the words of a sentence."""
    return f"a value of type {type_name(annotation)}"


def type_name(annotation: object) -> str:
    """Return an annotation as people write it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    return str(annotation).replace("typing.", "").replace("collections.abc.", "").replace("pathlib.", "")
