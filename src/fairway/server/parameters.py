"""The conversion of a request to the arguments of an endpoint's function, by its annotations."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast, get_args

import msgspec

from fairway.author.endpoint import Endpoint, bare
from fairway.server import tables, uploads, validating
from fairway.server.answers import Refusal, unreadable
from fairway.spec.errors import UsageError

Arguments = tuple[object, ...] | dict[str, object]
Read = Callable[[Any], object]

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class Field:
    """A parameter: its name, its annotation, and its reader of JSON text.

    Raises:
        UsageError: no request can hold a value of that type.
    """

    __slots__ = ("annotation", "name", "read", "required")

    def __init__(self, name: str, annotation: object, required: bool) -> None:
        self.name = name
        self.annotation = annotation
        self.required = required
        self.read = _reader(name, annotation)

    def converted(self, text: "bytes | msgspec.Raw", named: bool = True) -> object:
        """Convert JSON text to the value, with every digit as it was written. Raises Refusal 400."""
        where = f"field {self.name!r}: " if named else ""
        try:
            return self.read(text)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            if isinstance(error, _UNREADABLE) and not isinstance(error, msgspec.ValidationError):
                raise unreadable(f"{where}not valid JSON", error, bytes(text)) from None
            raise Refusal(400, f"{where}{error}") from None
        except TypeError as error:
            raise Refusal(400, f"{where}cannot be read as {self.annotation}: {error}") from None

    def from_text(self, text: str) -> object:
        """Convert the text of a form field: as JSON if it is JSON, otherwise as the text itself."""
        quoted = msgspec.json.encode(text)
        if bare(self.annotation) is str:
            return self.converted(quoted)
        try:
            return self.converted(text.encode())
        except Refusal as refusal:
            try:
                return self.converted(quoted)
            except Refusal as other:
                raise (refusal if "not valid JSON" not in refusal.message else other) from None


class Parameters:
    """The parameters of an endpoint's function."""

    def __init__(self, endpoint: Endpoint[..., object]) -> None:
        signature = endpoint.signature
        self.fields = {
            name: Field(name, annotation, signature[name].default is inspect.Parameter.empty)
            for name, annotation in endpoint.parameters.items()
        }
        self.item = Field("", endpoint.request_type, True) if endpoint.batched else None
        self._only = next(iter(self.fields.values())) if len(self.fields) == 1 else None
        self._lists = is_list(endpoint.request_type)
        kinds: dict[str, uploads.Kind] = {
            name: uploads.kind_of(field.annotation) for name, field in self.fields.items()
        }
        self.files: dict[str, uploads.Kind] = {
            name: kind for name, kind in kinds.items() if kind and self.item is None
        }
        self.raw = self._only is not None and bool(self.files) and not is_list(self._only.annotation)

    def from_json(self, body: bytes) -> Arguments:
        """Read the arguments from JSON: the body is a lone parameter, or an object with a field for each. Raises Refusal 400."""
        if self._only is not None:
            return (self._alone(self._only, body),)
        if not self.fields:
            return ()
        try:
            given = _decode_object(body)
        except msgspec.ValidationError:
            raise Refusal(400, f"send an object with {', '.join(self.fields)}") from None
        except _UNREADABLE as error:
            raise unreadable("not valid JSON", error, body) from None
        self.check_names(given)
        return {name: self.fields[name].converted(text) for name, text in given.items()}

    def _alone(self, only: Field, body: bytes) -> object:
        """Read the value of the only parameter. Raises Refusal 400."""
        try:
            return only.converted(body, False)
        except Refusal as refusal:
            with contextlib.suppress(*_UNREADABLE):
                if list(_decode_object(body)) == [only.name]:
                    refusal.hint = f"the body is the value of `{only.name}` itself, without its name"
            raise

    def from_raw(self, body: bytes, kind: bytes, scratch: "uploads.Scratch") -> Arguments:
        """Read the only parameter, a file, whose content is the body. Raises Refusal 400."""
        (name, wanted), *_ = self.files.items()
        part = uploads.Part("", uploads.named(kind), bytearray(body))
        return (self._file(name, wanted, part, scratch),)

    def from_form(self, body: bytes, kind: bytes, scratch: "uploads.Scratch") -> Arguments:
        """Read the arguments from the files and fields of a multipart form. Raises Refusal 400."""
        given: dict[str, list[uploads.Part]] = {}
        for part in uploads.parts(body, kind):
            given.setdefault(part.field, []).append(part)
        self.check_names(given)
        return {name: self._filled(name, found, scratch) for name, found in given.items()}

    def _filled(self, name: str, found: "list[uploads.Part]", scratch: "uploads.Scratch") -> object:
        field, wanted = self.fields[name], self.files.get(name)
        many = is_list(field.annotation)
        if len(found) > 1 and not many:
            raise Refusal(400, f"field {name!r} came {len(found)} times")
        if wanted is not None:
            read = [self._file(name, wanted, part, scratch) for part in found]
            return read if many else read[0]
        if any(part.filename for part in found):
            raise Refusal(400, f"field {name!r} is not a file")
        texts = [part.text() for part in found]
        if many and not texts[0].startswith("["):
            element = Field(name, (*get_args(bare(field.annotation)), object)[0], True)
            return [element.from_text(text) for text in texts]
        return field.from_text(texts[0])

    def _file(
        self, name: str, wanted: "uploads.Kind", part: "uploads.Part", scratch: "uploads.Scratch"
    ) -> object:
        try:
            return uploads.received(wanted, part, scratch)
        except ValueError as error:
            raise Refusal(400, f"field {name!r}: {error}") from None

    def items(self, body: bytes) -> tuple[list[object], bool]:
        """Read the elements of a request to a batched endpoint. Return them, and true if the request was a list."""
        assert self.item is not None
        if self._lists or not body.lstrip().startswith(b"["):
            return [self.item.converted(body, False)], False
        try:
            texts = _decode_list(body)
        except _UNREADABLE as error:
            raise Refusal(400, f"not valid JSON: {error}") from None
        if not texts:
            raise Refusal(400, "a request needs at least one row")
        return [self.item.converted(text, False) for text in texts], True

    def check_names(self, given: "dict[str, Any]") -> None:
        """Check that every name is a parameter and every required parameter is given. Raises Refusal 400."""
        for name in given:
            if name not in self.fields:
                raise Refusal(400, f"unknown field {name!r}; it takes {', '.join(self.fields)}")
        for name, field in self.fields.items():
            if field.required and name not in given:
                raise Refusal(400, f"field {name!r} is missing")


def is_list(annotation: object) -> bool:
    """Tell whether a single value of this type is written as a list."""
    annotation = bare(annotation)
    return annotation is list or getattr(annotation, "__origin__", None) is list


def _reader(name: str, annotation: object) -> Read:
    found = validating.adapter(annotation)
    if found is not None:
        read = validating.reading(found)
        return lambda text: read(bytes(text))
    if annotation is object:
        return msgspec.json.decode
    where = f"the parameter {name}" if name else "one element"
    try:
        decoder = msgspec.json.Decoder(cast("type[object]", annotation), dec_hook=_revived)
        strange = next(_strange(msgspec.inspect.type_info(annotation), set()), None)
    except (TypeError, ValueError, NameError) as error:
        raise UsageError(f"{where} cannot be read from a request: {error}", hint=_HINT) from None
    if strange is not None:
        raise UsageError(
            f"{where} cannot be read from a request: {strange.__module__}.{strange.__qualname__} has no form in JSON",
            hint=_HINT,
        )
    return decoder.decode


_HINT = "annotate it with a plain type, a dataclass, a TypedDict, a msgspec Struct or a pydantic model"


def _revived(kind: Any, given: object) -> object:
    """Convert decoded JSON to a type that msgspec does not know. Raises ValueError, TypeError."""
    how = _special(kind)
    if how is None:
        raise TypeError(f"Expected `{kind}`, got `{type(given).__name__}`")
    return how(given)


def _special(kind: Any) -> "Callable[[object], object] | None":
    if tables.is_frame(kind):
        return tables.frame
    if tables.is_array(kind):
        return partial(tables.array, kind)
    if uploads.kind_of(kind):
        return _not_in_json
    return partial(validating.made, kind) if validating.is_model(kind) else None


def _not_in_json(given: object) -> object:
    raise ValueError("a file is sent as multipart/form-data, or alone as the body with its own Content-Type")


def _strange(info: object, seen: set[int]) -> Iterator[type]:
    """Find the types inside an annotation that cannot be read from text."""
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType) and _special(info.cls) is None:
        yield info.cls
    parts: Any = [getattr(info, name) for name in getattr(info, "__struct_fields__", ())]
    for part in parts:
        many: tuple[object, ...] = cast("tuple[object, ...]", part) if isinstance(part, tuple) else (part,)
        for each in many:
            if isinstance(each, msgspec.inspect.Type | msgspec.inspect.Field):
                yield from _strange(each, seen)
