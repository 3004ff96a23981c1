"""A page lives: two people see the same run change, and a platform that is killed and started again is found again."""

import os
import signal

from page_reader import Open, Reader
from page_stores import Place
from page_tasks import shows, start_slow


def test_what_one_does_another_sees_without_loading_the_page_again(small_place: Place, reader: Open) -> None:
    first, second = reader(small_place), reader(small_place)
    run = start_slow(first)
    second.open(f"/runs/{run}")
    second.page.evaluate("() => { window.kept = true }")
    second.until(lambda: shows(second, "running"))
    first.until(lambda: first.button("Cancel").count())
    first.click(first.button("Cancel"))
    second.until(lambda: shows(second, "cancelled"))
    assert second.page.evaluate("() => window.kept")
    assert second.shift()[0] < 0.1


def test_open_pages_say_that_the_platform_is_gone_and_heal_when_it_is_back(
    small_place: Place, reader: Open
) -> None:
    person = reader(small_place)
    run = start_slow(person)
    person.until(lambda: shows(person, "running"))
    paths = ("/", f"/runs/{run}", f"/runs/{run}/steps/rest/log", "/endpoints/churn")
    others = [reader(small_place) for _ in paths]
    for other, path in zip(others, paths, strict=True):
        other.open(path)
        other.page.evaluate("() => { window.kept = true }")
    log = others[2].page.locator("main")
    others[2].until(lambda: "rested 1" in log.inner_text())
    os.kill(small_place.process, signal.SIGKILL)
    for other in others:
        other.until(lambda other=other: "is lost" in said(other))
    before = log.inner_text()
    small_place.start()
    for other in others:
        other.until(lambda other=other: said(other) == "")
    # Not only the line at the foot: what happened meanwhile, and what happens from now on, is shown as well.
    others[2].until(lambda: log.inner_text() != before)
    small_place.fairway("cancel", run, expect=None)
    others[1].until(lambda: shows(others[1], "cancelled"))
    others[1].until(lambda: others[1].button("Resume").count())
    others[0].until(
        lambda: run not in others[0].page.locator("#runs section", has_text="Running now").inner_text()
    )
    for other in (person, *others):
        assert other is person or other.page.evaluate("() => window.kept")
        other.faults = [fault for fault in other.faults if "ERR_" not in fault]


FIRST_NEWS = """() => {
  for (const element of document.querySelectorAll("main *")) element.kept = true;
  window.told = [];
  const stream = new EventSource(document.body.dataset.live);
  stream.addEventListener("region", (event) => window.told.push(JSON.parse(event.data).id));
}"""
REPLACED = """() => window.told.filter((id) =>
  [...document.getElementById(id).querySelectorAll("*")].some((one) => !one.kept))"""


def test_what_is_on_a_page_already_is_not_made_anew_by_the_first_news(
    small_place: Place, reader: Open
) -> None:
    for path, region in (("/", "runs"), ("/endpoints/churn", "status")):
        person = reader(small_place)
        person.open(path)
        person.page.evaluate(FIRST_NEWS)
        person.until(lambda person=person, region=region: region in person.page.evaluate("() => window.told"))
        # The stream of the page itself began before this one.
        person.page.wait_for_timeout(300)
        assert person.page.evaluate(REPLACED) == [], path


def said(person: Reader) -> str:
    """Return what the line at the foot of a page says about the connection."""
    return person.page.locator("#connection").inner_text()


def test_a_press_while_the_platform_is_gone_does_nothing_and_works_once_it_is_back(
    small_place: Place, reader: Open
) -> None:
    person = reader(small_place)
    run = start_slow(person)
    person.until(lambda: person.button("Cancel").count())
    os.kill(small_place.process, signal.SIGKILL)
    person.until(lambda: "is lost" in said(person))
    person.click(person.button("Cancel"))
    person.page.wait_for_url("chrome-error://**")
    small_place.start()
    person.faults = [fault for fault in person.faults if "ERR_" not in fault]
    person.open(f"/runs/{run}")
    assert shows(person, "running")
    person.click(person.button("Cancel"))
    person.until(lambda: shows(person, "cancelled"))
