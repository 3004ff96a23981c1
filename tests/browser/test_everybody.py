"""Everybody can use the pages: axe-core finds nothing, nothing is wider than the window, and the keyboard gets everywhere."""

import axe
import pytest
from crawling import pages
from page_reader import Open
from page_stores import Place

FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one), at = one.getBoundingClientRect();
  const inside = at.right > 0 && at.left < innerWidth && at.bottom > 0 && at.top < innerHeight;
  const what = one.outerHTML.slice(0, 100);
  return one === document.body ? null : { what, line: parseFloat(style.outlineWidth), style: style.outlineStyle, inside };
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(small_place: Place, reader: Open, full: bool, dark: bool) -> None:
    person = reader(small_place, dark=dark)
    seen: dict[str, list[str]] = {}
    # The dark colours are the same few on all pages.
    for path in pages(small_place)[:: 1 if full or not dark else 4]:
        person.open(path)
        seen[path] = axe.found(person.page)
    assert {path: found for path, found in seen.items() if found} == {}


@pytest.mark.parametrize("width", [360, 640, 1280, 2560])
def test_no_page_is_wider_than_the_window(small_place: Place, reader: Open, full: bool, width: int) -> None:
    person = reader(small_place, width=width)
    # What fits the narrowest window fits the others, but for a few layouts.
    for path in pages(small_place)[:: 1 if full or width == 360 else 4]:
        person.open(path)
        assert person.too_wide() == []


def test_three_presses_of_tab_lead_to_the_content(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    for path in pages(small_place):
        person.open(path)
        person.press("Tab")
        person.press("Enter")
        assert person.page.evaluate("() => document.activeElement.id") == "main", path


def test_what_has_the_focus_is_seen_to_have_it(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    for path in pages(small_place):
        person.open(path)
        unseen = []
        for _ in range(60):
            person.press("Tab")
            seen = person.page.evaluate(FOCUSED)
            if seen is None:
                break
            if not (seen["style"] != "none" and seen["line"] >= 1 and seen["inside"]):
                unseen.append(seen)
        assert unseen == [], path
