"""A pipeline's parameters: from annotations to descriptions, and from command-line texts to values.

What a person types is checked here, before anything starts; every error names the flag, the type and the text.
"""

import enum
import inspect
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from fairway.author.files import File, Folder
from fairway.spec.errors import UsageError
from fairway.spec.project import Parameter

Kind = Literal["int", "float", "bool", "str", "path", "file", "folder", "choice", "list", "struct", "json"]

_SCALARS: dict[object, Kind] = {
    int: "int", float: "float", bool: "bool", str: "str", Path: "path", File: "file", Folder: "folder",
}  # fmt: skip
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def describe(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """Descriptions of a function's parameters, in order."""
    hints = _hints(function)
    doc = _documented(function)
    described: list[Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise UsageError(f"the pipeline {function.__name__} takes *{name}, which has no flag")
        annotation, optional = _unwrap(hints.get(name, _guess(parameter.default)))
        kind = _kind(annotation)
        item = get_args(annotation)
        described.append(
            Parameter(
                name=name,
                kind=kind,
                item=_kind(_unwrap(item[0])[0])
                if kind == "list" and item
                else ("str" if kind == "list" else ""),
                choices=_choices(item[0] if kind == "list" and item else annotation),
                optional=optional,
                required=parameter.default is parameter.empty,
                default="" if parameter.default is parameter.empty else _shown(parameter.default),
                annotation=_type_name(hints.get(name, annotation)),
                help=doc.get(name, ""),
            )
        )
    return tuple(described)


def bind(function: Callable[..., object], texts: dict[str, list[str]], config: str = "") -> dict[str, object]:
    """Values for all parameters of a pipeline from typed texts, a configuration file and the defaults.

    Raises:
        UsageError: naming the flag, the type wanted and the text given.
    """
    hints = _hints(function)
    given = _read_config(config) if config else {}
    values: dict[str, object] = {}
    parameters = inspect.signature(function).parameters
    for name in (*texts, *given):
        if name not in parameters:
            known = ", ".join(_flag(known) for known in parameters) or "none"
            raise UsageError(f"{function.__name__} has no parameter {name!r}", hint=f"its flags are {known}")
    for name, parameter in parameters.items():
        annotation = hints.get(name, _guess(parameter.default))
        if name in texts:
            values[name] = _convert(name, annotation, texts[name])
        elif name in given:
            values[name] = _from_config(name, annotation, given[name])
        elif parameter.default is not parameter.empty:
            values[name] = parameter.default
        else:
            raise UsageError(
                f"{function.__name__} needs {_flag(name)} ({_type_name(annotation)})",
                hint=f"add `{_flag(name)} VALUE`",
            )
    return values


def shown(values: dict[str, object]) -> dict[str, str]:
    """Parameter values as a person would type them."""
    return {name: _shown(value) for name, value in values.items()}


def _hints(function: Callable[..., object]) -> dict[str, object]:
    try:
        return dict(get_type_hints(function))
    except (NameError, TypeError, AttributeError):
        return dict(getattr(function, "__annotations__", {}))


def _guess(default: object) -> object:
    if isinstance(default, list | tuple) and default:
        return list[type(default[0])]  # type: ignore[misc]
    return type(default) if isinstance(default, bool | int | float | str | Path | list) else str  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _unwrap(annotation: object) -> tuple[object, bool]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [item for item in get_args(annotation) if item is not type(None)]
        optional = len(members) < len(get_args(annotation))
        return (members[0] if len(members) == 1 else annotation), optional
    return annotation, False


def _kind(annotation: object) -> Kind:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if get_origin(annotation) is Literal or (
        isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    ):
        return "choice"
    if annotation in (list, tuple, set) or get_origin(annotation) in (list, set):
        return "list"
    if isinstance(annotation, type) and (
        hasattr(annotation, "__dataclass_fields__") or issubclass(annotation, msgspec.Struct)
    ):
        return "struct"
    return "json"


def _choices(annotation: object) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.name for member in annotation)
    return ()


def _convert(name: str, annotation: object, texts: list[str]) -> object:
    inner, optional = _unwrap(annotation)
    kind = _kind(inner)
    if kind == "list":
        arguments = get_args(inner)
        element = arguments[0] if arguments else str
        if len(texts) == 1 and texts[0].startswith("["):
            return _from_config(name, inner, _json(name, inner, texts[0]))
        items = [_scalar(name, element, text) for text in texts]
        return set(items) if get_origin(inner) is set else items
    if len(texts) != 1:
        raise UsageError(f"{_flag(name)} takes one value ({_type_name(annotation)}), not {len(texts)}")
    if optional and texts[0].lower() == "none":
        return None
    return _scalar(name, inner, texts[0])


def _scalar(name: str, annotation: object, text: str) -> object:
    inner, _ = _unwrap(annotation)
    kind = _kind(inner)
    try:
        if kind in ("int", "float"):
            return cast("Callable[[str], object]", inner)(text)
        if kind == "bool":
            return _boolean(text)
        if kind == "choice":
            return _chosen(inner, text)
        if kind in ("file", "folder"):
            path = cast("type[File]", inner)(text)
            if not path.path.exists():
                raise UsageError(f"{_flag(name)}: there is no {kind} {text!r}")
            return path
    except (ValueError, KeyError):
        raise UsageError(
            f"{_flag(name)} takes {_article(inner)}, not {text!r}",
            hint=f"one of {', '.join(_choices(inner))}" if kind == "choice" else "",
        ) from None
    if kind == "struct":
        return _from_config(
            name, inner, _read_config(text) if not text.startswith("{") else _json(name, inner, text)
        )
    if kind == "json":
        return (
            text
            if inner in (object, inspect.Parameter.empty)  # pyright: ignore[reportUnnecessaryContains]
            else _from_config(name, inner, _json(name, inner, text))
        )
    return Path(text) if kind == "path" else text


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise ValueError(text)


def _chosen(annotation: object, text: str) -> object:
    if get_origin(annotation) is Literal:
        return {str(choice): choice for choice in get_args(annotation)}[text]
    members = cast("type[enum.Enum]", annotation)
    for member in members:
        if text in (member.name, str(member.value)):
            return member
    raise KeyError(text)


def _json(name: str, annotation: object, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{_flag(name)} takes {_article(annotation)} as JSON, not {text!r}") from None


def _from_config(name: str, annotation: object, value: object) -> object:
    inner, _ = _unwrap(annotation)
    kind = _kind(inner)
    if kind in ("path", "file", "folder", "choice") and isinstance(value, str):
        return _scalar(name, inner, value)
    if kind == "json" and inner in (object, inspect.Parameter.empty):  # pyright: ignore[reportUnnecessaryContains]
        return value
    try:
        return msgspec.convert(value, cast("type", annotation), strict=True)  # pyright: ignore[reportUnknownVariableType]
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(f"{_flag(name)} takes {_article(annotation)}: {error}, not {value!r}") from None


def _read_config(path: str) -> dict[str, object]:
    try:
        data = Path(path).read_bytes()
        decoded = msgspec.toml.decode(data) if path.endswith(".toml") else msgspec.json.decode(data)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, ImportError, ValueError) as error:
        raise UsageError(
            f"{path} is not valid {'TOML' if path.endswith('.toml') else 'JSON'}: {error}"
        ) from None
    if not isinstance(decoded, dict):
        raise UsageError(f"{path} does not hold an object with one entry per parameter")
    return cast("dict[str, object]", decoded)


def _documented(function: Callable[..., object]) -> dict[str, str]:
    """First lines of the entries under "Args:" of a docstring."""
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
    return "--" + name.replace("_", "-")


def _article(annotation: object) -> str:
    return f"a value of type {_type_name(annotation)}"


def _type_name(annotation: object) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _shown(value: object) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, list | tuple | set):
        return " ".join(_shown(item) for item in cast("list[object]", list(value)))  # pyright: ignore[reportUnknownArgumentType]
    return str(value)
