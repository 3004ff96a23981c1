"""Plain Python values as JSON that gives back exactly the same values and runs no code when it is read.

Values that JSON has are written as they are, so that people and other programs can read them. Every other value
becomes an object whose first key is a tag: `{"$tuple": [1, 2]}`. Equal values give equal bytes. A value that is not
plain is offered to a `leaf` function, and the JSON is then the skeleton of a bundle. The only framework known here is
numpy, for its scalars.
"""

import base64
import datetime as dt
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Sized
from decimal import Decimal
from enum import Enum
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, cast

import msgspec

from fairway.formats.classes import class_name, fields_of, find_class, is_named_tuple, is_record, rebuild
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

Tree = Any
"""A value that JSON can hold."""

_PATHS = (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)


_CONTAINERS: tuple[type[Sized], ...] = (list, tuple, set, frozenset, dict)


class NotPlain(Exception):
    """The error for a value that cannot be written as JSON. `value` is the part that cannot."""

    def __init__(self, value: object) -> None:
        super().__init__(type(value).__name__)
        self.value = value


class Writer:
    """A converter from values to trees that JSON can hold.

    Args:
        leaf: gets each value that is not plain and returns a tree for it. It raises NotPlain to refuse a value.
    """

    def __init__(self, leaf: Callable[[object], Tree] | None = None) -> None:
        self.classes: set[type] = set()
        """Classes that the JSON has named so far."""
        self._leaf = leaf
        self._escape = False

    def encode(self, value: object) -> bytes:
        """Return the value as JSON. Raises NotPlain, and RecursionError for a value that contains itself."""
        try:
            return msgspec.json.encode(self.tree(value))
        except UnicodeEncodeError:
            # Texts with characters that no encoding has are rare, so they are looked for only after a failure.
            self._escape = True
            return msgspec.json.encode(self.tree(value))

    def tree(self, value: Any) -> Tree:
        """Return the value as JSON objects, arrays, strings, numbers, booleans and null. Raises NotPlain."""
        cls = cast(type[Any], type(value))
        if cls is str:
            return _text(value) if self._escape else value
        if cls is bool or value is None:
            return value
        if cls is int:
            return value if -(2**63) <= value < 2**63 else {"$int": hex(value)}
        if cls is float:
            return value if value - value == 0 else {"$float": repr(value)}
        if cls is list:
            tree = self.tree
            return [tree(item) for item in value]
        if cls is dict:
            return self._dict(value)
        if cls is tuple:
            return {"$tuple": [self.tree(item) for item in value]}
        if cls in _SIMPLE:
            tag, write = _SIMPLE[cls]
            return {tag: write(value)}
        if cls is set or cls is frozenset:
            return {f"${cls.__name__}": sorted((self.tree(item) for item in value), key=msgspec.json.encode)}
        return self._object(value, cls)

    def _dict(self, value: dict[Any, Any]) -> Tree:
        """Return a dict as an object if its keys allow that, otherwise as a list of pairs."""
        if all(type(key) is str and key[:1] != "$" for key in value) and not self._escape:
            return {key: self.tree(item) for key, item in value.items()}
        return {"$dict": self._pairs(value)}

    def _pairs(self, value: dict[Any, Any]) -> Tree:
        """Return the entries of a dict as a list of pairs."""
        return [[self.tree(key), self.tree(item)] for key, item in value.items()]

    def _object(self, value: Any, cls: type[Any]) -> Tree:
        """Return the tree of a value that is no simple built-in. Raises NotPlain."""
        tree: Tree = None
        if cls is dt.datetime or cls is dt.time:
            tree = _moment(value)
        elif cls is complex:
            tree = {"$complex": [self.tree(value.real), self.tree(value.imag)]}
        elif cls is OrderedDict or cls is Counter:
            tree = {f"${cls.__name__}": self._pairs(value)} if not vars(value) else None
        elif cls.__module__ == "numpy":
            tree = self._numpy(value)
        elif issubclass(cls, Enum):
            tree = self._enum(value)
        elif is_record(cls) and (name := class_name(cls)) and (fields := fields_of(value)) is not None:
            self.classes.add(cls)
            tree = {"$record": name, "fields": {key: self.tree(item) for key, item in fields.items()}}
        elif is_named_tuple(cls) and (name := class_name(cls)) and not vars_of(value):
            self.classes.add(cls)
            tree = {"$namedtuple": name, "items": [self.tree(item) for item in value]}
        if tree is not None:
            return tree
        if self._leaf is None:
            raise NotPlain(value)
        return self._leaf(value)

    def _enum(self, value: Enum) -> Tree:
        """Return the tree of an enumeration's member.

        A combination of flags has no name and is written by its value.
        """
        name = class_name(type(value))
        if name is None:
            return None
        self.classes.add(type(value))
        if type(value).__members__.get(value.name or "") is value:
            return {"$enum": name, "name": value.name}
        return {"$enum": name, "value": self.tree(value.value)}

    def _numpy(self, value: Any) -> Tree:
        """Return the tree of a numpy scalar with its type, or of an array of Python objects. Other arrays give None."""
        dtype = getattr(value, "dtype", None)
        if dtype is None:
            return None
        if hasattr(value, "__array_finalize__"):
            if dtype.kind != "O" or type(value).__name__ != "ndarray" or not value.flags.c_contiguous:
                return None
            return {
                "$objects": list(value.shape),
                "items": [self.tree(item) for item in value.ravel().tolist()],
            }
        # Two types may have the same layout, such as long and long long. The text means one, the letter the other.
        name = dtype.str if dtype.kind not in "iu" or dtype.char not in "qQ" else dtype.char
        if dtype.kind in "SU" or (dtype.kind in "biufc" and dtype.char not in "gG"):
            return {"$numpy": name, "value": self.tree(value.item())}
        if dtype.hasobject or dtype.names or not dtype.itemsize:
            return None
        return {"$numpy": name, "bytes": _base64(value.tobytes())}


class Reader:
    """A converter from trees to the values that they stand for.

    Args:
        importing: True allows to import the module of a stored class when it is not loaded.
        only: the one package whose classes may be made; any package when empty.
        leaf: returns the value for a tree that a writer's `leaf` made.
    """

    def __init__(
        self, *, importing: bool = True, only: str = "", leaf: Callable[[Tree], object] | None = None
    ) -> None:
        self._importing = importing
        self._only = only
        self._leaf = leaf

    def decode(self, data: bytes | memoryview) -> object:
        """Return the value of a JSON document. Raises SerializationError."""
        try:
            tree = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise SerializationError(f"stored JSON cannot be read: {error}") from error
        return tree if b'"$' not in bytes(data) else self.value(tree)

    def value(self, tree: Tree) -> Any:
        """Return the value that a tree stands for. Raises SerializationError."""
        if type(tree) is list:
            items = cast(list[Any], tree)
            value = self.value
            return [value(item) for item in items]
        if type(tree) is not dict:
            return tree
        fields = cast(dict[str, Any], tree)
        tag = next(iter(fields), "")
        if tag[:1] != "$":
            return {key: self.value(item) for key, item in fields.items()}
        try:
            return self._tagged(tag, fields)
        except SerializationError:
            raise
        except Exception as error:
            raise SerializationError(
                f"a stored value of form {tag[1:]} cannot be read: {error}",
                hint="a newer version of Fairway may have written it; run the step that made it again",
            ) from error

    def _tagged(self, tag: str, tree: dict[str, Any]) -> object:
        """Return the value of an object with a tag."""
        content = tree[tag]
        if tag in _READ:
            return _READ[tag](content)
        if tag in ("$tuple", "$set", "$frozenset"):
            return {"$tuple": tuple, "$set": set, "$frozenset": frozenset}[tag](
                self.value(item) for item in content
            )
        if tag in ("$dict", "$OrderedDict", "$Counter"):
            value: Any = _MAPPINGS[tag]()
            for key, item in content:
                value[self.value(key)] = self.value(item)
            return value
        if tag == "$complex":
            return complex(self.value(content[0]), self.value(content[1]))
        if tag in ("$datetime", "$time"):
            return _read_moment(tag, tree)
        if tag == "$enum":
            found: Any = self._class(content, Enum)
            return found[tree["name"]] if "name" in tree else found(self.value(tree["value"]))
        if tag == "$record":
            fields = {name: self.value(item) for name, item in tree["fields"].items()}
            return rebuild(self._class(content, object), fields)
        if tag == "$namedtuple":
            return _tuple(self._class(content, tuple), [self.value(item) for item in tree["items"]])
        if tag in ("$numpy", "$objects"):
            return self._numpy(tag, tree)
        if self._leaf is None:
            raise SerializationError(f"a stored value has the unknown form {tag[1:]!r}")
        return self._leaf(tree)

    def _class(self, name: str, base: type) -> Any:
        """Return a stored class, if it may be made and still has its kind. Raises SerializationError."""
        if not name.startswith(self._only):
            raise SerializationError(
                f"a stored value is of class {name}, and values of this class are not shown"
            )
        found = find_class(name, importing=self._importing)
        if not issubclass(found, base) or (base is object and not is_record(found)):
            raise SerializationError(
                f"a stored value is of class {name}, which has become another kind of class since it was stored"
            )
        return found

    def _numpy(self, tag: str, tree: dict[str, Any]) -> object:
        """Return a numpy scalar, or an array of Python objects."""
        np = load("numpy")

        if tag == "$objects":
            array = np.empty(tree[tag], dtype=object)
            array.reshape(-1)[:] = _cells(np, [self.value(item) for item in tree["items"]])
            return array
        dtype = np.dtype(tree[tag])
        if "bytes" in tree:
            return np.frombuffer(base64.b64decode(tree["bytes"]), dtype=dtype)[0]
        return dtype.type(self.value(tree["value"]))


def vars_of(value: object) -> dict[str, object]:
    """Return the attributes of an instance. Instances without a `__dict__` have none."""
    return getattr(value, "__dict__", {})


def summary(value: object, limit: int = 60) -> str:
    """Describe a plain value for people, on one line of at most `limit` characters."""
    if isinstance(value, _CONTAINERS) and len(value) > 20:
        return f"{len(value)} items"
    if isinstance(value, (str, bytes)) and len(value) > limit:
        return f"{value[: limit - 10]!r}…"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return ""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _cells(np: Any, items: list[object]) -> Any:
    """Return an array of objects. Items that are lists stay single cells."""
    cells = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        cells[index] = item
    return cells


def _text(value: str) -> Tree:
    """Return a text, or a tagged tree for a text with characters that no encoding has."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$text": _base64(value.encode("utf-8", "surrogatepass"))}
    return value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _moment(value: dt.datetime | dt.time) -> Tree:
    """Return the tree of a time or datetime. Unknown time zones give None."""
    tag = f"${type(value).__name__}"
    zone = value.tzinfo
    fold = {"fold": 1} if value.fold else {}
    if zone is None:
        return {tag: value.isoformat(), **fold}
    if type(zone) is dt.timezone:
        name = zone.tzname(None)
        named = {} if name == dt.timezone(zone.utcoffset(None)).tzname(None) else {"named": _text(name)}
        return {tag: value.isoformat(), **fold, **named}
    if type(zone).__module__ == "zoneinfo" and (key := getattr(zone, "key", None)):
        return {tag: value.replace(tzinfo=None).isoformat(), "zone": key, **fold}
    return None


def _read_moment(tag: str, tree: dict[str, Any]) -> object:
    """Return the time or datetime of a tree."""
    from zoneinfo import ZoneInfo

    cls = dt.datetime if tag == "$datetime" else dt.time
    value = cls.fromisoformat(tree[tag]).replace(fold=tree.get("fold", 0))
    if "named" in tree:
        name = _read_name(tree["named"])
        value = value.replace(tzinfo=dt.timezone(value.utcoffset() or dt.timedelta(), name))
    return value.replace(tzinfo=ZoneInfo(tree["zone"])) if "zone" in tree else value


_SIMPLE: dict[type, tuple[str, Callable[[Any], Tree]]] = {
    bytes: ("$bytes", _base64),
    bytearray: ("$bytearray", _base64),
    dt.date: ("$date", dt.date.isoformat),
    dt.timedelta: ("$timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("$decimal", str),
    uuid.UUID: ("$uuid", str),
    range: ("$range", lambda value: [hex(part) for part in (value.start, value.stop, value.step)]),
    **{cls: (f"${cls.__name__}", lambda value: _text(str(value))) for cls in _PATHS},
}


def _read_text(data: str) -> str:
    return base64.b64decode(data).decode("utf-8", "surrogatepass")


def _read_name(tree: Tree) -> str:
    return tree if isinstance(tree, str) else _read_text(tree["$text"])


def _read_path(cls: type[PurePath]) -> Callable[[Any], object]:
    return lambda tree: cls(_read_name(tree))


def _tuple(cls: type[Any], items: list[object]) -> object:
    """Make a named tuple without running code of its class."""
    return cast(Any, tuple).__new__(cls, items)


_MAPPINGS: dict[str, Callable[[], dict[Any, Any]]] = {
    "$dict": dict,
    "$OrderedDict": OrderedDict,
    "$Counter": Counter,
}

_READ: dict[str, Callable[[Any], object]] = {
    "$int": lambda text: int(text, 16),
    "$float": float,
    "$text": _read_text,
    "$bytes": base64.b64decode,
    "$bytearray": lambda text: bytearray(base64.b64decode(text)),
    "$date": dt.date.fromisoformat,
    "$timedelta": lambda parts: dt.timedelta(days=parts[0], seconds=parts[1], microseconds=parts[2]),
    "$decimal": Decimal,
    "$uuid": uuid.UUID,
    "$range": lambda parts: range(*(int(part, 16) for part in parts)),
    "$PosixPath": _read_path(Path),
    "$WindowsPath": _read_path(Path),
    "$PurePosixPath": _read_path(PurePosixPath),
    "$PureWindowsPath": _read_path(PureWindowsPath),
}
