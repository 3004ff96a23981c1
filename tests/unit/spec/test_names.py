"""What a name may be, by the kind of thing that has it."""

import pytest

from fairway.spec.names import is_declared, is_registered, is_served

#                      declared registered served
NAMES = {
    "train": (True, True, True),
    "train-2": (True, True, True),
    "v1.2_b": (True, True, True),
    "2024": (True, True, True),
    "_private": (True, False, True),
    "größe": (True, True, False),
    "²": (True, True, False),
    "a" * 63: (True, True, True),
    "a" * 64: (False, False, False),
    "": (False, False, False),
    "-flag": (False, False, False),
    ".hidden": (False, False, False),
    "two words": (False, False, False),
    "a/b": (False, False, False),
    "a\n": (False, False, False),
    "a@b": (False, False, False),
    "a:1": (False, False, False),
    "..": (False, False, False),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items(), ids=[repr(name)[:20] for name in NAMES])
def test_a_name_fits_what_it_is_for(name: str, expected: tuple[bool, bool, bool]) -> None:
    assert (is_declared(name), is_registered(name), is_served(name)) == expected
