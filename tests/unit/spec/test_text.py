import pytest

from fairway.spec.text import bounded, legible, shortened


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("ü漢😀", "ü漢😀"), ("a\udcff", "a\\udcff"), ("\ud83dü", "\\ud83dü")]
)
def test_what_no_encoding_has_becomes_an_escape(text: str, expected: str) -> None:
    assert legible(text) == expected
    assert legible(text).encode().decode() == expected


def test_a_long_line_is_cut_and_says_so() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"


def test_of_many_lines_the_first_and_the_last_are_kept() -> None:
    text = "first\n" + "x" * 10_000 + "\nlast"
    short = bounded(text, 100, 100)
    assert short.startswith("first\n")
    assert short.endswith("\nlast")
    assert "9811 characters left out" in short
    assert bounded(text, 5_100, 5_100) == text
