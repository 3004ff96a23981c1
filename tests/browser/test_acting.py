"""What a person does on the pages, with a mouse, by keyboard, on a telephone and without script, in few clicks or keys."""

import hashlib
import json
import re
import subprocess

import pytest
from page_reader import Open, Reader
from page_stores import Place
from page_tasks import KEYS, deploy, roll_back, served, started, within
from test_looking import best_of_a_day


@pytest.fixture
def telephone(small_place: Place, reader: Open) -> Reader:
    """Somebody with a telephone, who has neither mouse nor keys."""
    return reader(small_place, width=360, height=740, touch=True)


def test_a_telephone_tells_what_broke_and_why(telephone: Reader) -> None:
    telephone.begin()
    telephone.open("/")
    cause = telephone.page.get_by_text("a share of 1.5 is more than all")
    # The page may show the runs anew just then, and a locator that scrolls gives up with the element that it found.
    cause.evaluate("(one) => one.scrollIntoView()")
    assert cause.is_visible()
    assert telephone.too_wide() == []
    within(telephone, 0)
    telephone.click(telephone.link("broken"))
    assert re.search(r"project\.py:\d+ in weigh", telephone.page.locator(".failure").inner_text())
    assert telephone.too_wide() == []
    within(telephone, 1)


def test_a_version_is_deployed_and_rolled_back_by_two_taps_each(
    telephone: Reader, small_place: Place
) -> None:
    assert deploy(telephone) == served(small_place)
    within(telephone, 2)
    assert telephone.too_wide() == []
    roll_back(telephone)
    assert served(small_place) == 1
    within(telephone, 2)
    assert telephone.too_wide() == []


@pytest.mark.parametrize("path", ["/", "/runs", "/models", "/endpoints/churn", "/models/churn/1/deploy"])
def test_what_a_finger_presses_is_large_enough(telephone: Reader, path: str) -> None:
    telephone.open(path)
    small = telephone.page.evaluate(
        """() => [...document.querySelectorAll("main button, main a.button, main select, main input, nav a")]
            .filter((one) => one.getClientRects().length && one.type !== "hidden")
            .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
            .filter(([, at]) => at.width < 24 || at.height < 24)
            .map(([told, at]) => `${told} ${at.width}x${at.height}`)"""
    )
    assert small == []


def test_the_best_run_of_a_day_is_found_by_keyboard(large_place: Place, reader: Open) -> None:
    person = reader(large_place, keyboard=True)
    person.open("/")
    person.begin()
    best_of_a_day(person)
    assert person.keys <= KEYS


def test_a_request_is_changed_and_repeated_in_a_shell(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.open("/")
    person.begin()
    person.click(person.link("Try it"))
    person.type(person.page.get_by_label("visits"), "2.5")
    person.click(person.button("Ask"))
    person.until(lambda: "The answer appears here" not in person.text())
    line = person.page.locator("pre", has_text="curl").inner_text()
    assert "2.5" in line
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=True).stdout
    assert json.loads(person.page.locator("#answer pre").inner_text()) == json.loads(answer)
    within(person, 3)


def test_a_model_file_is_fetched(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.open("/")
    person.begin()
    newest = person.page.locator("section", has_text="Newest models")
    person.click(newest.get_by_role("link", name="churn version").first)
    row = person.page.locator("#files ~ div tbody tr").first
    digest = row.locator("code").inner_text()
    with person.page.expect_download() as saved:
        person.click(row.locator("a"))
    with open(saved.value.path(), "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    within(person, 2)


def test_who_deployed_what_is_told(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.open("/")
    person.begin()
    person.click(person.link("Endpoints"))
    person.click(person.page.locator("main").get_by_role("link", name="churn").first)
    row = person.page.locator("table tbody tr", has_text="now").inner_text()
    assert re.search(r"churn version \d.*\d\d:\d\d:\d\d", row, re.DOTALL)
    within(person, 2)


def test_a_run_is_started_again_with_one_value_changed(small_place: Place, reader: Open) -> None:
    person = reader(small_place)
    person.open("/runs?pipeline=churn")
    before = person.page.locator("tbody th a").first.inner_text()
    epochs = str(10 + person.page.locator("tbody tr").count())
    person.begin()
    person.click(person.page.locator("tbody th a").first)
    person.click(person.link("Run again"))
    person.type(person.page.get_by_label("epochs"), epochs)
    person.click(person.button("Run"))
    name = started(person)
    within(person, 3)
    assert name != before
    person.until(lambda: person.page.locator("#state .state.done").count())
    shown, other = (
        json.loads(small_place.fairway("show", run, "--json"))["spec"]["shown"] for run in (name, before)
    )
    assert {key for key in shown if shown[key] != other[key]} == {"epochs"}
    assert shown["epochs"] == epochs
