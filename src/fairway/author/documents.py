"""JSON and TOML documents with parameter values. Every number keeps the text in which it was written."""

from pathlib import Path
from typing import cast

from fairway.spec.errors import UsageError


class Written(float):
    """A number with a point or an exponent, together with its text.

    Types more exact than a float are made from the text.
    """

    text: str

    def __new__(cls, text: str) -> "Written":
        """Make the number from its text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def from_json(text: str) -> object:
    """Parse a JSON text. Raises ValueError and RecursionError."""
    import json

    return cast("object", json.loads(text, parse_float=Written, object_pairs_hook=_unique))


def from_file(path: str) -> dict[str, object]:
    """Read the object that a JSON or TOML file holds. Raises UsageError."""
    import tomllib

    toml = path.lower().endswith(".toml")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        found = cast("object", tomllib.loads(text, parse_float=Written) if toml else from_json(text))
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid {'TOML' if toml else 'JSON'}: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} does not hold an object with one entry per parameter")
    return cast("dict[str, object]", found)


def plain(value: object) -> object:
    """Replace every `Written` in the value by an ordinary float, for a type that does not ask for more."""
    if isinstance(value, Written):
        return float(value)
    if isinstance(value, list):
        return [plain(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, object]", value).items()}
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dict of pairs, and refuse a key that is given twice. Raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is given twice")
    return found
