"""What a person finds out on the pages, within the clicks, keys and seconds that a task may take.

Each test is a task for somebody who has never seen the pages. Typing into one field is one key.
"""

import re
from pathlib import Path

import pytest
from page_reader import Open, Reader
from page_stores import LOUD, Place
from page_tasks import within


def test_the_first_page_says_what_broke_and_why(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.begin()
    person.open("/")
    assert "a share of 1.5 is more than all" in person.text()
    assert "broken" in person.text()
    within(person, 0)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_the_best_run_of_a_day_has_an_address_to_send(large_place: Place, reader: Open, script: bool) -> None:
    person = reader(large_place, script=script)
    person.open("/")
    person.begin()
    best_of_a_day(person)
    within(person, 3)
    colleague = reader(large_place)
    colleague.open(person.page.url.removeprefix(large_place.url))
    assert listed(colleague) == listed(person)


def best_of_a_day(person: Reader) -> None:
    """List the runs of a day by their `auc`, the best first."""
    person.click(person.link("Runs"))
    person.skip("Skip to the content")
    person.type(person.page.get_by_label("Started since"), "1d")
    person.press("Enter")
    person.page.wait_for_url("**since=1d**")
    person.skip()
    person.click(person.page.locator("thead").get_by_role("link", name="auc"))
    person.page.wait_for_url("**sort=**")
    values = [float(text) for text in person.page.locator("tbody td[data-head=auc]").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9998


def listed(person: Reader) -> list[str]:
    """Return the runs of the list in their order."""
    return person.page.locator("tbody tr th").all_inner_texts()


def test_a_curve_tells_its_value_at_a_step(large_place: Place, reader: Open) -> None:
    person = reader(large_place)
    person.open("/runs/points")
    person.begin()
    person.click(person.page.locator("summary", has_text="points").first)
    row = person.page.locator(
        "figure table tbody tr", has=person.page.get_by_role("rowheader", name="500", exact=True)
    )
    assert float(row.locator("td").first.inner_text()) == pytest.approx(1 / 6, rel=1e-4)
    within(person, 1)


def test_two_runs_are_told_apart_by_what_differs(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    # Other tests may have started runs with more epochs.
    person.open("/runs?pipeline=churn&where=epochs+%3C+11")
    person.begin()
    person.click(person.page.locator("tbody th a").first)
    person.click(person.link("Compare with the one before"))
    table = person.page.locator("table.compared").inner_text()
    assert "rate" in table
    assert "epochs" not in table
    within(person, 3)


def test_a_failed_run_shows_the_line_of_the_persons_own_file(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.open("/")
    person.begin()
    person.click(person.link("broken"))
    assert re.search(r"project\.py:\d+ in weigh", person.page.locator(".failure").inner_text())
    within(person, 1)


def test_a_table_tells_its_rows_columns_and_missing_values(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.open("/runs?pipeline=churn")
    person.begin()
    person.click(person.page.locator("tbody th a").first)
    person.click(person.link("clean"))
    said = re.sub(r"\s+", " ", person.page.locator("main").inner_text())
    assert "rows 400 columns 5 missing values 40" in said
    within(person, 2)


def test_a_line_is_found_in_a_million_and_saved_with_those_around_it(
    small_place: Place, reader: Open, tmp_path: Path
) -> None:
    person = reader(small_place)
    person.open(f"/runs/{small_place.loud()}/steps/fit")
    person.begin()
    person.click(person.link("Log"))
    person.type(person.page.get_by_label("Text to find"), "WARNING")
    person.press("Enter")
    person.page.wait_for_url("**find=WARNING**")
    with person.page.expect_download() as saved:
        person.click(person.link("Download around"))
    text = Path(saved.value.path()).read_text("utf-8")
    assert f"line {LOUD.warning}" in text
    assert f"line {LOUD.warning - 100}" in text
    assert text.count("\n") < 10_000
    within(person, 3)
