"""Every page opens in a real browser without an error, a jump or a request to anybody else."""

import pytest
from crawling import pages
from page_reader import Open
from page_stores import Place

REQUESTS = 5
KILOBYTES = 75


def test_all_pages_open_without_an_error_or_a_jump(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    jumped = {}
    for path in pages(small_place):
        person.open(path)
        person.page.wait_for_load_state("load")
        if person.shift() != (0.0, []):
            jumped[path] = person.shift()
    assert jumped == {}


def test_a_page_of_a_long_history_is_as_small_as_any(large_place: Place, reader: Open) -> None:
    for path in ("/", "/runs", "/runs/wide", "/runs/points", "/runs/keys"):
        person = reader(large_place)
        sizes: list[int] = []
        person.page.on("requestfinished", lambda request, kept=sizes: kept.append(transferred(request)))
        person.open(path)
        person.page.wait_for_load_state("load")
        person.page.wait_for_timeout(200)
        assert len(person.requests) <= REQUESTS, [request.url for request in person.requests]
        assert sum(sizes) <= KILOBYTES * 1000, path


def transferred(request: object) -> int:
    """Return the bytes that an answer took on the line."""
    sizes = request.sizes()  # type: ignore[attr-defined]
    return int(sizes["responseBodySize"] + sizes["responseHeadersSize"])


@pytest.mark.parametrize("path", ["/nothing", "/runs/nobody", "/models/nobody"])
def test_an_address_that_leads_nowhere_says_so_on_a_page(small_place: Place, reader: Open, path: str) -> None:
    person = reader(small_place)
    person.open(path, status=404)
    assert person.page.locator("h1").is_visible()
    assert person.page.locator("nav a").count() >= 5
