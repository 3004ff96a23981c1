"""The rules for names, one for each kind of thing that has a name.

A name is a word of letters, digits, `-`, `_` and `.`. The kinds differ in the first letter and in the alphabet.
"""

from fairway.spec.errors import UsageError

_MOST = 63
"""The most letters of a name. Some names become labels of host names, which cannot be longer."""

_BETWEEN = "-_."


def is_declared(name: str) -> bool:
    """Tell whether a task, pipeline or endpoint of a project can have a name. It may begin with `_`, as in Python."""
    return _is_word(name) and (name[0].isalnum() or name[0] == "_")


def is_registered(name: str) -> bool:
    """Tell whether a model or an alias can have a name."""
    return _is_word(name) and name[0].isalnum()


_LONGEST_TAG = 60
_LONGEST_NOTE = 2000


def check_tag(tag: str) -> None:
    """Refuse a text that is not one word. Raises UsageError."""
    if (
        not 0 < len(tag) <= _LONGEST_TAG
        or not tag.isprintable()
        or any(letter.isspace() or letter == "," for letter in tag)
    ):
        raise UsageError(
            f"{tag[:80]!r} is no tag", hint=f"a tag is one word of at most {_LONGEST_TAG} letters"
        )


def check_note(note: str) -> None:
    """Refuse a note that is too long. Raises UsageError."""
    if len(note) > _LONGEST_NOTE:
        raise UsageError(f"the note has {len(note)} characters", hint=f"a note has at most {_LONGEST_NOTE}")


def check_registered(*names: object) -> None:
    """Refuse a value that cannot name a model or an alias. Raises UsageError."""
    for name in names:
        if not isinstance(name, str) or not is_registered(name):
            raise UsageError(
                f"{name!r} is not a usable name",
                hint="letters, digits, `-`, `_` and `.`, at most 63, starting with a letter or digit",
            )


def is_served(name: str) -> bool:
    """Tell whether an endpoint can have a name. It is part of URLs, so it is a declared name in ASCII."""
    return name.isascii() and is_declared(name)


def _is_word(name: str) -> bool:
    return 0 < len(name) <= _MOST and all(letter.isalnum() or letter in _BETWEEN for letter in name)
