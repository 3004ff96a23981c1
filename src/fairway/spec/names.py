"""What a name may be: one rule per kind of thing that has one.

All are words of letters, digits, `-`, `_` and `.`. The kinds differ in how a name may begin, and in its alphabet.
"""

from fairway.spec.errors import UsageError

_MOST = 63
"""As long as a label of a host name may be, which some names become."""

_BETWEEN = "-_."


def is_declared(name: str) -> bool:
    """Whether a task, a pipeline or an endpoint of a project can have this name. It may begin with `_`, as in Python."""
    return _is_word(name) and (name[0].isalnum() or name[0] == "_")


def is_registered(name: str) -> bool:
    """Whether a model or an alias can have this name."""
    return _is_word(name) and name[0].isalnum()


def check_registered(*names: object) -> None:
    """Refuse what cannot name a model or an alias. Raises UsageError."""
    for name in names:
        if not isinstance(name, str) or not is_registered(name):
            raise UsageError(
                f"{name!r} is not a usable name",
                hint="letters, digits, `-`, `_` and `.`, at most 63, starting with a letter or digit",
            )


def is_served(name: str) -> bool:
    """Whether an endpoint can have this name, which is part of URLs: as a declared one, of the letters a to z only."""
    return name.isascii() and is_declared(name)


def _is_word(name: str) -> bool:
    return 0 < len(name) <= _MOST and all(letter.isalnum() or letter in _BETWEEN for letter in name)
