"""The whole story in one: from an empty folder to a model that was deployed, replaced and rolled back, on the pages alone.

A person with a mouse lives it while somebody else looks on, a second one by keyboard, and a third one without script.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_reader import Open, Reader
from page_stores import Place
from page_tasks import KEYS, deploy, roll_back, served, serves, shows, started, within

PATIENT = '''"""A pipeline whose second step waits until the file `go` is there, for two minutes at most."""

import time
from pathlib import Path

import fairway as fw

GO = Path(__file__).with_name("go")


@fw.task
def count(last: int) -> list[int]:
    print("counting")
    return list(range(last))


@fw.task
def wait(counted: list[int]) -> int:
    for _ in range(1200):
        print("waiting", flush=True)
        if GO.exists():
            break
        time.sleep(0.1)
    return len(counted)


@fw.pipeline
def patient(last: int = 3) -> int:
    """Count, then wait."""
    return wait(count(last))
'''
KINDS = {"mouse": {}, "keyboard": {"keyboard": True}, "no script": {"script": False}}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty folder with a platform."""
    made = Place(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.replace(" ", "-"))
def person(request: pytest.FixtureRequest, place: Place, reader: Open) -> Reader:
    """Somebody with a mouse, with a keyboard alone, or whose browser runs no script."""
    return reader(place, **KINDS[request.param])


def test_a_model_is_made_deployed_replaced_and_rolled_back_on_the_pages_alone(
    person: Reader, place: Place, reader: Open
) -> None:
    first = run_a_template(person)
    look_into_a_table(person, first)
    assert deploy(person, "cancer") == 1
    check_budget(person, 2)
    try_it(person)
    second = run_again(person, first)
    other = reader(place)
    other.open("/endpoints/cancer")
    keep(other)
    assert deploy(person, "cancer") == served(place, "cancer") == 2
    other.until(lambda: serves(other, "cancer version 2"))
    roll_back(person, "cancer")
    check_budget(person, 2)
    other.until(lambda: serves(other, "cancer version 1"))
    assert is_kept(other), "the other one saw both without loading the page again"
    assert served(place, "cancer") == 1
    compare(person, first, second)
    cancel_and_resume(person, other)


def check_budget(person: Reader, clicks: int) -> None:
    """Check the clicks of a task, or its keys. Who has only keys also follows two links that skip what is known."""
    within(person, clicks + (2 if person.keyboard else 0))
    assert person.keys <= KEYS


def keep(person: Reader) -> None:
    """Mark the page that is open. The mark is gone once the page is loaded again."""
    person.page.evaluate("() => { window.kept = true }")


def is_kept(person: Reader) -> bool:
    """Tell whether the page that was marked is still the one that is open."""
    return bool(person.page.evaluate("() => Boolean(window.kept)"))


def run_a_template(person: Reader) -> str:
    """Write a template and run it, watch the run to its end, and return its name."""
    person.open("/")
    person.click(person.link("Start from a template"))
    person.page.wait_for_url("**/new")
    person.click(person.button("Write cancer.py and run it"))
    return watched(person)


def watched(person: Reader) -> str:
    """Watch a run that has just begun to its end, and return its name."""
    name = started(person)
    if person.script:
        keep(person)
    person.until(lambda: shows(person, "done"))
    person.until(lambda: "cancer version" in person.page.locator("#returned").inner_text())
    assert not person.script or is_kept(person)
    assert not person.button("Cancel").count()
    return name


def look_into_a_table(person: Reader, run: str) -> None:
    """Look into the output of the first step."""
    person.click(person.link("prepare"))
    person.page.wait_for_url(f"**/runs/{run}/steps/prepare")
    said = " ".join(person.page.locator("main").inner_text().split())
    assert "rows 426 columns 31 columns of the index 1" in said, said[:3000]
    assert "mean radius" in said


def try_it(person: Reader) -> None:
    """Send a sample to the endpoint."""
    person.click(person.link("Try it"))
    person.page.wait_for_url("**/try")
    person.click(person.button("Ask"))
    person.page.wait_for_url("**/try#answer")
    assert person.page.locator("#answer .state").inner_text() == "200"
    assert json.loads(person.page.locator("#answer pre").inner_text()) is not None
    assert "curl" in person.text()


def run_again(person: Reader, run: str) -> str:
    """Run a run again with another value, watch it to its end, and return the name of the new run."""
    person.open(f"/runs/{run}")
    person.click(person.link("Run again"))
    person.page.wait_for_url("**/new?run=**")
    person.type(person.page.get_by_label("test_share"), "0.4")
    person.click(person.button("Run"))
    name = watched(person)
    assert name != run
    return name


def compare(person: Reader, *runs: str) -> None:
    """Choose runs in the list and compare them."""
    person.open("/runs")
    person.skip()
    for run in reversed(runs):
        person.choose(person.page.get_by_label(f"Choose run {run}"))
    if person.keyboard:
        person.press("Enter")
    else:
        person.click(person.button("Compare"))
    person.page.wait_for_url("**/compare?**")
    row = person.page.locator(
        "table.compared tr", has=person.page.get_by_role("rowheader", name="test_share")
    )
    assert set(row.locator("td").all_inner_texts()) == {"0.25", "0.4"}


def cancel_and_resume(person: Reader, other: Reader) -> None:
    """Start a run of another file, stop it and let it go on, while somebody else looks on."""
    (person.place.folder / "patient.py").write_text(PATIENT, "utf-8")
    person.open("/runs")
    person.click(person.link("Start a run"))
    person.page.wait_for_url("**/new")
    person.click(person.link("patient.py"))
    person.page.wait_for_url("**/new?file=patient.py")
    person.click(person.button("Run"))
    name = started(person)
    other.open(f"/runs/{name}")
    keep(other)
    other.until(lambda: other.page.locator("table.steps tr", has_text="wait").locator(".running").count())
    person.open(f"/runs/{name}")
    person.click(person.button("Cancel"))
    person.until(lambda: shows(person, "cancelled"))
    other.until(lambda: shows(other, "cancelled"))
    assert is_kept(other)
    person.click(person.button("Resume"))
    person.until(lambda: shows(person, "running"))
    (person.place.folder / "go").touch()
    person.until(lambda: shows(person, "done"))
    assert first_attempts(person, name) == {"count": 1, "wait": 2}, "what was done is not done again"


def first_attempts(person: Reader, run: str) -> dict[str, int]:
    """Return how often each step of a run was begun."""
    told = json.loads(person.place.fairway("show", run, "--json"))
    return {step["spec"]["name"]: len(step["attempts"]) for step in told["steps"]}
