"""Types that check their own values, such as the models of pydantic.

They are recognised by their methods, so this module imports no framework.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast, get_args, get_type_hints

import msgspec

Read = Callable[[bytes], object]

_SHOWN = 10


def is_model(kind: object) -> bool:
    """Tell whether a type checks its own values, as the models of pydantic 2 and 1 do."""
    return isinstance(kind, type) and (hasattr(kind, "model_validate") or hasattr(kind, "parse_obj"))


def adapter(annotation: object) -> Any:
    """Return the reader that pydantic makes for an annotation with a part of pydantic; None without such a part."""
    pydantic = sys.modules.get("pydantic")
    if not hasattr(pydantic, "TypeAdapter") or not any(map(_is_pydantic, _parts(annotation, set()))):
        return None
    try:
        return cast("Any", pydantic).TypeAdapter(annotation)
    except Exception:
        return None  # a part is unknown to pydantic; its models in the annotation still check themselves


def reading(found: Any) -> Read:
    """Return a function that reads JSON text with an adapter. It raises ValueError with the text of the framework."""

    def read(text: bytes) -> object:
        try:
            return found.validate_json(text)
        except ValueError as error:
            raise ValueError(words(error)) from None

    return read


def made(kind: Any, given: object) -> object:
    """Make an instance of a model from decoded JSON. Raises ValueError with the text of the framework."""
    try:
        return kind.model_validate(given) if hasattr(kind, "model_validate") else kind.parse_obj(given)
    except ValueError as error:
        raise ValueError(words(error)) from None


def words(error: ValueError) -> str:
    """Return the text of a validation error for the client: each path with its reason, and never the value."""
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return str(error)
    found = cast("list[dict[str, Any]]", listed())
    said = [f"{one.get('msg', 'is not valid')}{_path(one.get('loc', ()))}" for one in found[:_SHOWN]]
    more = len(found) - _SHOWN
    return "; ".join(said) + (f"; and {more} more" if more > 0 else "")


def plain(value: Any) -> object:
    """Convert a model to its JSON form. Raises TypeError for any other value."""
    if hasattr(value, "model_dump_json"):
        return msgspec.Raw(value.model_dump_json(by_alias=True).encode())
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "parse_obj"):
        return msgspec.Raw(value.json(by_alias=True).encode())
    raise TypeError(f"an answer of type {type(value).__name__} has no JSON form")


def schema(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a model; empty if the model cannot give one."""
    try:
        return kind.model_json_schema() if hasattr(kind, "model_json_schema") else kind.schema()
    except Exception:
        return {}


def _path(location: Any) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in location]
    return f" - at `${''.join(steps)}`" if steps else ""


def _is_pydantic(part: object) -> bool:
    home = getattr(part, "__module__", None) if isinstance(part, type) else type(part).__module__
    return (
        hasattr(part, "__pydantic_core_schema__")
        or hasattr(part, "__get_pydantic_core_schema__")
        or str(home).partition(".")[0] in ("pydantic", "annotated_types")
    )


def _parts(annotation: object, seen: set[int]) -> Iterator[object]:
    """Yield an annotation and all its parts: arguments, limits, and the types of fields."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    yield annotation
    inner = getattr(annotation, "__value__", None) or getattr(annotation, "__supertype__", None)
    nested = [*get_args(annotation), *getattr(annotation, "__metadata__", ()), *([inner] if inner else [])]
    if isinstance(annotation, type) and _has_fields(annotation):
        # Reading the annotation itself reports a type that cannot be found.
        with contextlib.suppress(NameError, TypeError, AttributeError):
            nested += get_type_hints(annotation, include_extras=True).values()
    for part in nested:
        yield from _parts(part, seen)


def _has_fields(kind: type) -> bool:
    marks = ("__dataclass_fields__", "__total__", "_fields", "__struct_fields__", "__attrs_attrs__")
    return any(hasattr(kind, mark) for mark in marks)
