"""The parameters of a pipeline: annotations become descriptions, and command-line texts become values.

Everything that a person types is checked here, before anything starts. Every error names the flag, the type and the
text.
"""

import enum
import inspect
import re
import types
from collections import abc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from fairway.author import documents, fields, moments
from fairway.author.conversion import (
    LISTS,
    Place,
    article,
    check_limits,
    choices,
    convert,
    gather,
    is_a,
    named,
    type_name,
    unwrap,
    wrong,
)
from fairway.author.files import File, Folder, Secret
from fairway.spec.errors import UsageError
from fairway.spec.project import Parameter

Kind = Literal["int", "float", "bool", "str", "path", "file", "folder", "choice", "list", "struct", "json"]

OWN_FLAGS = frozenset({"explain", "quiet", "json", "help"})
"""Names of flags that `fairway run` uses itself. A pipeline's parameter cannot have them."""

CONFIG = "config"
"""The name of a flag that `fairway run` has too. It gives way to a pipeline's parameter that takes one word."""

_SCALARS: dict[object, Kind] = {
    int: "int", float: "float", bool: "bool", str: "str", Path: "path", File: "file", Folder: "folder",
    Secret: "str",
}  # fmt: skip
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def describe(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """Describe the parameters of a function, in order.

    Raises:
        UsageError: a parameter can have no flag, or its flag belongs to another.
    """
    doc = _documented(function)
    described: list[Parameter] = []
    signature = inspect.signature(function).parameters
    for name, parameter in signature.items():
        _check_flag(function.__name__, parameter, signature.keys())
        written = _annotation(function, parameter)
        annotation, optional = unwrap(written)
        kind = _kind(annotation)
        if name in OWN_FLAGS or (name == CONFIG and kind in ("list", "bool")):
            raise UsageError(
                f"the parameter {name} of {function.__name__} would be {_flag(name)}, "
                "which `fairway run` has itself",
                hint="rename the parameter",
            )
        element = _element(annotation) if kind == "list" else annotation
        required = parameter.default is parameter.empty
        described.append(
            Parameter(
                name=name,
                kind=kind,
                item=_kind(unwrap(element)[0]) if kind == "list" else "",
                choices=choices(unwrap(element)[0]),
                optional=optional or parameter.default is None,
                required=required,
                default="" if required else _shown(parameter.default),
                annotation=type_name(written),
                help=doc.get(name, ""),
            )
        )
    return tuple(described)


def bind(function: Callable[..., object], texts: dict[str, list[str]], config: str = "") -> dict[str, object]:
    """Return values for all parameters of a pipeline.

    Typed texts come first, then the configuration file, then the defaults.

    Args:
        function: the pipeline's function.
        texts: the words typed for each parameter.
        config: the path of a JSON or TOML file; empty for none.

    Raises:
        UsageError: a value is missing, unknown or of the wrong type. The error names the flag, the type and the text.
    """
    given = (
        {name.replace("-", "_"): item for name, item in documents.from_file(config).items()} if config else {}
    )
    values: dict[str, object] = {}
    parameters = inspect.signature(function).parameters
    for name in (*texts, *given):
        if name not in parameters:
            known = ", ".join(_flag(known) for known in parameters) or "none"
            raise UsageError(f"{function.__name__} has no parameter {name!r}", hint=f"its flags are {known}")
    for name, parameter in parameters.items():
        annotation = _annotation(function, parameter)
        if name in texts:
            values[name] = _convert(name, annotation, texts[name])
        elif name in given:
            values[name] = convert(Place(_flag(name), name), annotation, given[name])
        elif parameter.default is not parameter.empty:
            values[name] = parameter.default
        else:
            raise UsageError(
                f"{function.__name__} needs {_flag(name)} ({type_name(annotation)})",
                hint=f"add `{_flag(name)} VALUE`",
            )
    return values


def check(function: Callable[..., object], values: dict[str, object]) -> dict[str, object]:
    """Check values that Python code gives for a pipeline's parameters, by the rules for values from a file.

    Objects of types that a file cannot hold are left as they are.

    Raises:
        UsageError: a value does not fit. The error names the parameter, the type and the value.
    """
    signature = inspect.signature(function).parameters
    return {
        name: convert(Place(name, name, lenient=True), _annotation(function, signature[name]), value)
        if name in signature and _is_data(value)
        else value
        for name, value in values.items()
    }


def shown(values: dict[str, object]) -> dict[str, str]:
    """Return parameter values as a person would type them."""
    return {name: _shown(value) for name, value in values.items()}


def _check_flag(pipeline: str, parameter: inspect.Parameter, names: abc.Collection[str]) -> None:
    """Refuse a parameter that can have no flag of its own. Raises UsageError."""
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        raise UsageError(
            f"the parameter {stars}{name} of {pipeline} can have no flag",
            hint="give each parameter of the pipeline a name, and no star or `/`",
        )
    if name.startswith("no_") and name.removeprefix("no_") in names:
        raise UsageError(
            f"the parameters {name} and {name.removeprefix('no_')} of {pipeline} share the flag {_flag(name)}",
            hint="rename one of them",
        )


def _annotation(function: Callable[..., object], parameter: inspect.Parameter) -> object:
    """Return the annotation of a parameter, or a guess from its default when it has none.

    Each annotation is evaluated alone. One that only type checkers can evaluate does not spoil the others.
    """
    annotation = cast("object", parameter.annotation)
    if annotation is parameter.empty:
        return _guess(cast("object", parameter.default))
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    scope = cast("dict[str, object]", getattr(inspect.unwrap(function), "__globals__", {}))
    try:
        return cast("object", get_type_hints(holder, globalns=scope, include_extras=True)["it"])
    except Exception:
        return _guess(cast("object", parameter.default)) if isinstance(annotation, str) else annotation


def _guess(default: object) -> object:
    """Guess a type from a default value."""
    if type(default) in (list, tuple) and default:
        kind = type(cast("list[object]", default)[0])
        return tuple[kind, ...] if type(default) is tuple else list[kind]
    return str if default is None or default is inspect.Parameter.empty else type(default)


def _kind(annotation: object) -> Kind:
    """Return the kind of an annotation."""
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _SCALARS[annotation]
    if get_origin(annotation) is Literal or is_a(annotation, enum.Enum):
        return "choice"
    if fields.is_record(annotation):
        return "struct"
    if annotation in LISTS or get_origin(annotation) in LISTS:
        return "list"
    return "json"


def _element(annotation: object) -> object:
    """Return the type of a list's elements, or str when the list does not say."""
    arguments = get_args(annotation)
    return arguments[0] if arguments else str


def _convert(name: str, annotation: object, texts: list[str]) -> object:
    """Convert the words typed for one parameter. Raises UsageError."""
    inner, optional = unwrap(annotation)
    place = Place(_flag(name), name)
    if optional and len(texts) == 1 and texts[0].lower() == "none":
        return None
    if _kind(inner) == "list":
        return check_limits(place, annotation, _several(place, inner, texts))
    if len(texts) != 1:
        raise UsageError(f"{place.flag} takes one value ({type_name(annotation)}), not {len(texts)}")
    return _scalar(place, annotation, texts[0])


def _several(place: Place, annotation: object, texts: list[str]) -> object:
    """Convert words to a list, set or tuple. A single word that starts with `[` is read as JSON."""
    if len(texts) == 1 and texts[0].startswith("["):
        try:
            found = documents.from_json(texts[0])
        except (ValueError, RecursionError):
            if _element(annotation) is not str:
                raise wrong(place, annotation, texts[0]) from None
        else:
            return convert(place, annotation, found)
    arguments = get_args(annotation)
    fixed = get_origin(annotation) is tuple and arguments[-1:] != (...,)
    if fixed and len(texts) != len(arguments):
        raise UsageError(
            f"{place.flag} takes {len(arguments)} values ({type_name(annotation)}), not {len(texts)}"
        )
    kinds = arguments if fixed else [_element(annotation)] * len(texts)
    return gather(annotation, [_scalar(place, kind, text) for kind, text in zip(kinds, texts, strict=True)])


def _scalar(place: Place, annotation: object, text: str) -> object:
    """Convert one word to one value. Raises UsageError."""
    inner, optional = unwrap(annotation)
    if optional and text.lower() == "none":
        return None
    return check_limits(place, annotation, _from_text(place, inner, text))


def _from_text(place: Place, inner: object, text: str) -> object:
    """Convert one word to the type `inner`, which is not optional. Raises UsageError."""
    kind = _kind(inner)
    try:
        if kind in ("int", "float"):
            return cast("Callable[[str], object]", inner)(text)
        if kind == "bool":
            return _boolean(text)
    except ValueError:
        raise wrong(place, inner, text) from None
    if kind == "str" and inner is not Secret:
        return text
    if kind in ("path", "file", "folder", "str"):
        return named(place, inner, text)
    if get_origin(inner) in (Union, types.UnionType):
        return _member(place, inner, text)
    if kind == "struct" and not text.startswith(("{", "[")):
        return _from_file(place, inner, text)
    if kind in ("struct", "list") or _is_mapping(inner):
        return _from_json(place, inner, text)
    if inner in moments.FORMS and _NUMBER.fullmatch(text):
        return convert(place, inner, documents.Written(text))
    return text if inner in (object, Any) else convert(place, inner, text)


def _member(place: Place, union: object, text: str) -> object:
    """Convert a word to one of the types of a union.

    `int` is tried first and `str` last, because every word fits `str`.
    """
    members = [unwrap(item)[0] for item in get_args(union) if item is not type(None)]
    errors: list[UsageError] = []
    for member in sorted(members, key=lambda member: 0 if member is int else 2 if member is str else 1):
        if member is bool and text.lower() in ("0", "1"):
            continue  # beside other types, 0 and 1 are numbers
        if _kind(member) == "list" and not text.startswith("["):
            continue
        try:
            return _scalar(place, member, text)
        except UsageError as error:
            errors.append(error)
    # The error of a nested field tells more than the statement that no type fits.
    inner = next((error for error in errors if place.path + "." in error.message), None)
    raise inner or wrong(place, union, text)


def _from_file(place: Place, inner: object, path: str) -> object:
    """Read a record from a JSON or TOML file. Raises UsageError."""
    try:
        return convert(place, inner, documents.from_file(path))
    except UsageError as error:
        # An error of the conversion begins with the flag already; an error of reading does not.
        start = "" if error.message.startswith("--") else f"{place.flag} takes {article(inner)}: "
        raise UsageError(start + error.message, hint=error.hint) from None


def _from_json(place: Place, inner: object, text: str) -> object:
    """Convert a JSON text. Raises UsageError."""
    try:
        found = documents.from_json(text)
    except (ValueError, RecursionError):
        raise wrong(place, inner, text, " as JSON") from None
    return convert(place, inner, found)


def _is_data(value: object) -> bool:
    """Tell whether a value has a form that JSON has. Its inner values are not looked at."""
    return value is None or type(value) in (bool, int, float, str, list, tuple, dict)


def _is_mapping(annotation: object) -> bool:
    """Tell whether an annotation is a dict or mapping."""
    return (get_origin(annotation) or annotation) in (dict, abc.Mapping, abc.MutableMapping)


def _boolean(text: str) -> bool:
    """Parse a truth value. Raises ValueError."""
    lowered = text.lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise ValueError(text)


def _documented(function: Callable[..., object]) -> dict[str, str]:
    """Return the first line of each entry under "Args:" of a docstring, by parameter."""
    lines = inspect.cleandoc(function.__doc__ or "").splitlines()
    found: dict[str, str] = {}
    inside = False
    for line in lines:
        if line.strip() == "Args:":
            inside = True
        elif inside and line.startswith("    ") and not line.startswith("     ") and ":" in line:
            name, _, text = line.strip().partition(":")
            found[name.split(" ")[0]] = text.strip()
        elif inside and line and not line.startswith(" "):
            inside = False
    return found


def _flag(name: str) -> str:
    """Return the flag of a parameter."""
    return "--" + name.replace("_", "-")


def _shown(value: object) -> str:
    """Return a value as a person would type it."""
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Secret):
        return value.name
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode("ascii")
    if type(value) is dict:
        import json

        return json.dumps(value, default=_shown)
    if isinstance(value, set | frozenset):
        return " ".join(sorted(_shown(item) for item in cast("set[object]", value)))
    if isinstance(value, list | tuple):
        return " ".join(_shown(item) for item in cast("list[object]", value))
    return str(value)
