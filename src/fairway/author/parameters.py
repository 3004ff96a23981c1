"""A pipeline's parameters: from annotations to descriptions, and from command-line texts to values.

What a person types is checked here, before anything starts; every error names the flag, the type and the text.
"""

import enum
import inspect
import types
from collections import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeGuard, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from fairway.author.files import File, Folder, Secret
from fairway.spec.errors import UsageError
from fairway.spec.project import Parameter

Kind = Literal["int", "float", "bool", "str", "path", "file", "folder", "choice", "list", "struct", "json"]

OWN_FLAGS = frozenset({"explain", "quiet", "json", "help"})
"""Names that `fairway run` has for itself."""

CONFIG = "config"
"""A name that `fairway run` has too, and leaves to a pipeline whose parameter takes one word."""

_SCALARS: dict[object, Kind] = {
    int: "int", float: "float", bool: "bool", str: "str", Path: "path", File: "file", Folder: "folder",
    Secret: "str",
}  # fmt: skip
_LISTS = (
    list, tuple, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection, abc.Set,
)  # fmt: skip
_OURS = (Path, File, Folder, Secret)
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def describe(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """Descriptions of a function's parameters, in order.

    Raises:
        UsageError: a parameter can have no flag, or its flag is another's.
    """
    doc = _documented(function)
    described: list[Parameter] = []
    signature = inspect.signature(function).parameters
    for name, parameter in signature.items():
        _check_flag(function.__name__, parameter, signature.keys())
        written = _annotation(function, parameter)
        annotation, optional = _unwrap(written)
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
                item=_kind(_unwrap(element)[0]) if kind == "list" else "",
                choices=_choices(_unwrap(element)[0]),
                optional=optional or parameter.default is None,
                required=required,
                default="" if required else _shown(parameter.default),
                annotation=_type_name(written),
                help=doc.get(name, ""),
            )
        )
    return tuple(described)


def bind(function: Callable[..., object], texts: dict[str, list[str]], config: str = "") -> dict[str, object]:
    """Values for all parameters of a pipeline from typed texts, a configuration file and the defaults.

    Raises:
        UsageError: naming the flag, the type wanted and the text given.
    """
    given = {name.replace("-", "_"): item for name, item in _read_config(config).items()} if config else {}
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
            values[name] = _structured(name, annotation, given[name])
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


def _check_flag(pipeline: str, parameter: inspect.Parameter, names: abc.Collection[str]) -> None:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        raise UsageError(
            f"the parameter {stars}{name} of {pipeline} can have no flag",
            hint="a pipeline takes parameters that have a name each",
        )
    if name.startswith("no_") and name.removeprefix("no_") in names:
        raise UsageError(
            f"the parameters {name} and {name.removeprefix('no_')} of {pipeline} share the flag {_flag(name)}",
            hint="rename one of them",
        )


def _annotation(function: Callable[..., object], parameter: inspect.Parameter) -> object:
    """A parameter's annotation, each evaluated alone, so that one that only type checkers know spoils no other."""
    annotation = cast("object", parameter.annotation)
    if annotation is parameter.empty:
        return _guess(cast("object", parameter.default))
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    scope = cast("dict[str, object]", getattr(inspect.unwrap(function), "__globals__", {}))
    try:
        return cast("object", get_type_hints(holder, globalns=scope)["it"])
    except Exception:
        return _guess(cast("object", parameter.default)) if isinstance(annotation, str) else annotation


def _guess(default: object) -> object:
    if _is_list(default) and default:
        kind = type(default[0])
        return tuple[kind, ...] if type(default) is tuple else list[kind]
    return str if default is None or default is inspect.Parameter.empty else type(default)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return type(value) in (list, tuple)


def _is_dict(value: object) -> TypeGuard[dict[str, object]]:
    return type(value) is dict


def _unwrap(annotation: object) -> tuple[object, bool]:
    """The annotation without `Annotated`, aliases and `None`, and whether None is allowed."""
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    if inner is not None and not isinstance(annotation, type):
        return _unwrap(inner)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [item for item in get_args(annotation) if item is not type(None)]
        optional = len(members) < len(get_args(annotation))
        return (_unwrap(members[0])[0] if len(members) == 1 else annotation), optional
    return annotation, False


def _kind(annotation: object) -> Kind:
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _SCALARS[annotation]
    if get_origin(annotation) is Literal or _is_a(annotation, enum.Enum):
        return "choice"
    if annotation in _LISTS or get_origin(annotation) in _LISTS:
        return "list"
    if hasattr(annotation, "__dataclass_fields__") or _is_a(annotation, msgspec.Struct):
        return "struct"
    return "json"


def _is_a(annotation: object, kind: type) -> bool:
    return isinstance(annotation, type) and not get_args(annotation) and issubclass(annotation, kind)


def _element(annotation: object) -> object:
    """What a list holds; str when it does not say."""
    arguments = get_args(annotation)
    return arguments[0] if arguments else str


def _choices(annotation: object) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(member.name for member in annotation)
    return ()


def _convert(name: str, annotation: object, texts: list[str]) -> object:
    inner, optional = _unwrap(annotation)
    if optional and len(texts) == 1 and texts[0].lower() == "none":
        return None
    if _kind(inner) == "list":
        return _several(name, inner, texts)
    if len(texts) != 1:
        raise UsageError(f"{_flag(name)} takes one value ({_type_name(annotation)}), not {len(texts)}")
    return _scalar(name, inner, texts[0])


def _several(name: str, annotation: object, texts: list[str]) -> object:
    if len(texts) == 1 and texts[0].startswith("["):
        try:
            return _structured(name, annotation, _json(texts[0]))
        except (ValueError, RecursionError):
            if _element(annotation) is not str:
                raise _wrong(name, annotation, texts[0]) from None
    arguments = get_args(annotation)
    fixed = get_origin(annotation) is tuple and arguments[-1:] != (...,)
    if fixed and len(texts) != len(arguments):
        raise UsageError(
            f"{_flag(name)} takes {len(arguments)} values ({_type_name(annotation)}), not {len(texts)}"
        )
    kinds = arguments if fixed else [_element(annotation)] * len(texts)
    return _gather(annotation, [_scalar(name, kind, text) for kind, text in zip(kinds, texts, strict=True)])


def _gather(annotation: object, items: list[object]) -> object:
    kind = get_origin(annotation) or annotation
    if kind is tuple:
        return tuple(items)
    return set(items) if kind in (set, abc.Set) else frozenset(items) if kind is frozenset else items


def _scalar(name: str, annotation: object, text: str) -> object:
    inner, optional = _unwrap(annotation)
    if optional and text.lower() == "none":
        return None
    kind = _kind(inner)
    try:
        if kind in ("int", "float"):
            return cast("Callable[[str], object]", inner)(text)
        if kind == "bool":
            return _boolean(text)
        if kind == "choice":
            return _chosen(inner, text)
    except (ValueError, KeyError):
        raise _wrong(name, inner, text) from None
    if kind in ("path", "file", "folder", "str"):
        return _named(name, inner, text)
    if kind == "struct" and not text.startswith("{"):
        try:
            return _structured(name, inner, _read_config(text))
        except UsageError as error:
            said = "" if error.message.startswith("--") else f"{_flag(name)} takes {_article(inner)}: "
            raise UsageError(said + error.message, hint=error.hint) from None
    return _from_json(name, inner, text)


def _json(text: str) -> object:
    import json

    return cast("object", json.loads(text))


def _from_json(name: str, annotation: object, text: str) -> object:
    """A value from JSON, or from the text itself where that is how the type is written in JSON, as for a date."""
    if annotation is object:
        return text
    try:
        found = _json(text)
    except (ValueError, RecursionError):
        found = text
    try:
        return _structured(name, annotation, found)
    except UsageError as error:
        try:
            return _structured(name, annotation, text)
        except UsageError:
            pass
        if found is text or not isinstance(found, dict):
            raise _wrong(name, annotation, text, " as JSON" if text[:1] in ("{", "[") else "") from None
        raise error from None


def _named(name: str, annotation: object, text: str) -> object:
    if not isinstance(annotation, type) or annotation is str:
        return text
    made = cast("Callable[[str], object]", annotation)(text)
    if isinstance(made, File) and not made.path.exists():
        raise UsageError(f"{_flag(name)} takes {_article(annotation)}, and there is none at {text!r}")
    return made


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise ValueError(text)


def _chosen(annotation: object, text: str) -> object:
    if get_origin(annotation) is Literal:
        return {str(choice): choice for choice in get_args(annotation)}[text]
    members = list(cast("type[enum.Enum]", annotation))
    for member in members:
        if text == member.name:
            return member
    for member in members:
        if text == str(cast("object", member.value)):
            return member
    raise KeyError(text)


def _structured(name: str, annotation: object, value: object) -> object:
    """A value from what JSON or TOML gives."""
    inner, optional = _unwrap(annotation)
    if inner is object or (value is None and optional):
        return value
    kind = _kind(inner)
    if kind in ("path", "file", "folder", "choice") and isinstance(value, str):
        return _scalar(name, inner, value)
    if kind == "list" and _is_list(value) and (get_origin(inner) is not tuple or ... in get_args(inner)):
        element = _element(inner) if get_args(inner) else object
        return _gather(inner, [_structured(name, element, item) for item in value])
    if kind == "struct" and _is_dict(value):
        _refuse_unknown(name, cast("type", inner), value)
    try:
        return msgspec.convert(value, cast("type[object]", inner), dec_hook=_ours)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise _wrong(name, annotation, value, f" ({error})") from None


def _ours(kind: type, value: object) -> object:
    if kind in _OURS and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _refuse_unknown(name: str, kind: type, given: dict[str, object]) -> None:
    """A misspelt entry would otherwise leave its default in place without a word."""
    fields = cast(
        "abc.Iterable[str]",
        getattr(kind, "__struct_encode_fields__", getattr(kind, "__dataclass_fields__", ())),
    )
    known = set(fields)
    unknown = [entry for entry in given if entry not in known]
    if unknown:
        raise UsageError(
            f"{_flag(name)} takes {_article(kind)}, which has no {unknown[0]!r}",
            hint=f"it has {', '.join(fields)}",
        )


def _read_config(path: str) -> dict[str, object]:
    toml = path.lower().endswith(".toml")
    try:
        data = Path(path).read_bytes()
        decoded = cast("object", msgspec.toml.decode(data) if toml else msgspec.json.decode(data))
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid {'TOML' if toml else 'JSON'}: {error}") from None
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


def _wrong(name: str, annotation: object, given: object, more: str = "") -> UsageError:
    choices = _choices(_unwrap(annotation)[0])
    return UsageError(
        f"{_flag(name)} takes {_article(annotation)}{more}, not {given!r}",
        hint=f"one of {', '.join(choices)}" if choices else "",
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _article(annotation: object) -> str:
    return f"a value of type {_type_name(annotation)}"


def _type_name(annotation: object) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "").replace("pathlib.", "")


def _shown(value: object) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Secret):
        return value.name
    if isinstance(value, set | frozenset):
        return " ".join(sorted(_shown(item) for item in cast("set[object]", value)))
    if isinstance(value, list | tuple):
        return " ".join(_shown(item) for item in cast("list[object]", value))
    return str(value)
