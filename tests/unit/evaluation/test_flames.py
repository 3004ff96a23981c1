"""A flame picture: bars as wide as their share, the called ones below, in a document that stands alone."""

from xml.etree import ElementTree

from fairway.evaluation.flames import flames
from fairway.spec.profile import Frame, Profile

SVG = "{http://www.w3.org/2000/svg}"


def profile() -> Profile:
    slow = Frame(name="slow (a.py:1)", samples=75, own=75)
    quick = Frame(
        name="quick <b> (a.py:5)",
        samples=25,
        own=20,
        calls={"slow (a.py:1)": Frame(name="slow (a.py:1)", samples=5, own=5)},
    )
    return Profile(
        root=Frame(name="all", samples=100, calls={one.name: one for one in (slow, quick)}), seconds=2.0
    )


def test_bars_are_as_wide_as_their_share_and_the_called_ones_lie_below() -> None:
    drawn = ElementTree.fromstring(flames(profile(), "k7m2/work"))
    bars = {group.findtext(f"{SVG}title"): group.find(f"{SVG}rect") for group in drawn.iter(f"{SVG}g")}
    wide = {str(title): float(bar.attrib["width"]) for title, bar in bars.items() if bar is not None}
    assert 0.74 < wide["slow (a.py:1)  75.0%, 1.5 s"] / wide["all  100.0%, 2.0 s"] < 0.76
    assert "quick <b> (a.py:5)  25.0%, 0.5 s" in bars
    tops = {str(title): float(bar.attrib["y"]) for title, bar in bars.items() if bar is not None}
    assert (
        tops["slow (a.py:1)  5.0%, 0.1 s"]
        > tops["quick <b> (a.py:5)  25.0%, 0.5 s"]
        > tops["all  100.0%, 2.0 s"]
    )


def test_the_busiest_functions_count_wherever_they_were_called() -> None:
    assert profile().busiest(2) == [("slow (a.py:1)", 80, 80), ("quick <b> (a.py:5)", 20, 25)]


def test_a_function_that_calls_itself_counts_once() -> None:
    inner = Frame(name="f", samples=4, own=4)
    outer = Frame(name="f", samples=10, own=6, calls={"f": inner})
    assert Profile(root=Frame(name="all", samples=10, calls={"f": outer})).busiest(1) == [("f", 10, 10)]


def test_an_attempt_too_short_to_be_seen_is_drawn_all_the_same() -> None:
    ElementTree.fromstring(flames(Profile(root=Frame(name="all")), "empty"))
