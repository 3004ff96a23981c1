"""What a person does on the pages again and again: they start, watch, deploy, try and roll back, within clicks and keys."""

import json

from page_reader import Reader
from page_stores import Place

SECONDS = 120
"""Seconds for a task. A person needs most of them for reading; here they are left to a busy machine."""

KEYS = 25
"""Presses of keys for a task at most."""


def within(person: Reader, clicks: int) -> None:
    """Check what the task took since it began."""
    assert person.clicks <= clicks, f"{person.clicks} clicks"
    assert person.seconds <= SECONDS, f"{person.seconds:.1f} seconds"


def started(person: Reader) -> str:
    """Return the name of the run on whose page a form has led."""
    person.page.wait_for_url("**/runs/*")
    return person.page.url.rpartition("/")[2].partition("?")[0]


def start_slow(person: Reader) -> str:
    """Start a run that takes a minute, from the page, and return its name."""
    person.open("/new?file=project.py&pipeline=slow")
    person.click(person.button("Run"))
    return started(person)


def shows(person: Reader, word: str) -> bool:
    """Tell whether the page of a run shows a state."""
    return person.page.locator(f"#state .state.{word}").count() > 0


def served(place: Place, endpoint: str = "churn") -> int:
    """Return the version that an endpoint serves."""
    told = json.loads(place.fairway("endpoints", endpoint, "--json"))
    return int(told["status"]["revision"]["model"]["version"])


def deploy(person: Reader, model: str = "churn") -> int:
    """Deploy the newest version from the first page, and return its number."""
    person.open("/")
    person.begin()
    person.skip("Skip to the content")
    wanted = int(person.link("Deploy version").inner_text().rpartition(" ")[2])
    person.click(person.link("Deploy version"))
    person.page.wait_for_url("**/deploy")
    person.skip("Skip to the content")
    person.click(person.button("Deploy version"))
    settled(person, f"{model} version {wanted}")
    return wanted


def roll_back(person: Reader, model: str = "churn") -> None:
    """Roll back to version 1 from the first page."""
    person.open("/")
    person.begin()
    person.skip("Skip to the content")
    person.click(person.link("Roll back"))
    person.page.wait_for_url("**/rollback**")
    person.skip("Skip to the content")
    person.click(person.button("Roll back"))
    settled(person, f"{model} version 1")


def settled(person: Reader, version: str) -> None:
    """Wait until the page of the endpoint says that it serves a version."""
    person.page.wait_for_url(f"**/endpoints/{version.partition(' ')[0]}**")
    person.until(lambda: serves(person, version))


def serves(person: Reader, version: str) -> bool:
    """Tell whether the page of an endpoint says that it serves a version and that the change is over."""
    said = person.text()
    return "serves" in said and "done" in said and version in said and "under way" not in said
