"""Nothing on a page moves by itself: neither while a slow line brings it, nor when a run that is looked at goes on."""

from collections.abc import Iterator

import pytest
from page_reader import Open, Reader
from page_stores import Place, fill

STILL = 0.005
"""The layout shift that nobody sees."""

STILL_ON_A_SLOW_LINE = 0.01
"""The layout shift that a line of text makes in the first page that comes in pieces. A column makes ten times as much."""

SLOW = {"offline": False, "latency": 20, "downloadThroughput": 8_000, "uploadThroughput": 50_000}
"""A line on which a page comes in several pieces."""

PROJECT = '''
import time

import fairway as fw


@fw.task
def load(seconds: float) -> float:
    """Wait, and log a curve."""
    for place in range(4):
        time.sleep(seconds)
        fw.log(loss=1 / (1 + place), step=place)
    return seconds


@fw.task
def refine(seconds: float) -> float:
    """Wait."""
    time.sleep(4 * seconds)
    return seconds


@fw.pipeline
def steady(seconds: float = 1.0) -> float:
    """Do one thing after another."""
    return refine(refine(load(seconds)))
'''


@pytest.fixture(scope="module")
def busy_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with long lists, and a pipeline whose steps follow one another."""
    place = Place(tmp_path_factory.mktemp("busy"))
    try:
        # Of these runs, the only failed one on the first page is far down, where its cause would widen a column late.
        fill(place, "--runs", "323", "--steps", "400", "--keys", "300", "--points", "400")
        (place.folder / "project.py").write_text(PROJECT, "utf-8")
        place.start()
        yield place
    finally:
        place.stop()


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_moves_while_a_slow_line_brings_a_page(busy_place: Place, reader: Open, width: int) -> None:
    pages = (
        "/", "/runs", "/runs?sort=-auc&show=auc,rate,epochs", "/runs/wide", "/runs/wide?task=score",
        "/runs/keys", "/runs/points", "/compare?run=n0000001&run=n0000002", "/models", "/endpoints", "/system",
    )  # fmt: skip
    moved: dict[str, tuple[float, list[str]]] = {}
    for path in pages:
        person = reader(busy_place, width=width, timezone_id="Europe/Berlin")
        wire = person.context.new_cdp_session(person.page)
        wire.send("Network.enable")
        wire.send("Network.emulateNetworkConditions", SLOW)
        person.open(path)
        person.page.locator("footer").wait_for()
        person.page.wait_for_load_state("load")
        person.page.wait_for_function("() => !document.querySelector('.zone').textContent.endsWith('UTC')")
        if person.shift()[0] > STILL_ON_A_SLOW_LINE:
            moved[path] = person.shift()
        person.page.close()
    assert moved == {}


def test_nothing_moves_on_the_page_of_a_run_that_goes_on(busy_place: Place, reader: Open) -> None:
    person = reader(busy_place, timezone_id="Europe/Berlin")
    person.open("/new?file=project.py&pipeline=steady")
    person.click(person.button("Run"))
    person.page.wait_for_url("**/runs/*")
    # A row for a step that the pipeline calls later makes the list longer, and what is below has to give way.
    person.until(lambda: person.page.locator("table.steps tbody tr").count() == 3)
    before = person.shift()[0]
    person.until(lambda: is_over(person))
    assert person.page.locator("figure svg polyline").count() > 0
    assert person.shift()[0] - before <= STILL, person.shift()


def is_over(person: Reader) -> bool:
    """Tell whether the page shows that its run is done."""
    return person.page.locator("#state .state.done").count() > 0
