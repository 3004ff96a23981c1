"""Real Chromium, and places for it to look into, each made once.

Without Chromium the tests are left out, and one line says what to install.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("playwright.sync_api", reason="the tests in a browser need Playwright: `make setup`")

from page_reader import Open, Reader
from page_stores import Place, fill, small
from playwright.sync_api import Browser, BrowserContext, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
WITHOUT = "there is no Chromium on this machine, so no page is opened: `apt-get install chromium`"


@pytest.fixture(scope="session")
def small_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with two versions of a model, an endpoint and a failed run."""
    yield from _kept(Place(tmp_path_factory.mktemp("small")), small)


@pytest.fixture(scope="session")
def large_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with 5,000 runs, one of them with 1,000 steps, one with 200 metrics, one with 1,000 points."""
    words = ("--runs", "5000", "--steps", "1000", "--keys", "200", "--points", "1000")
    yield from _kept(Place(tmp_path_factory.mktemp("large")), lambda place: fill(place, *words))


@pytest.fixture(scope="session")
def empty_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where nothing has been done yet."""
    yield from _kept(Place(tmp_path_factory.mktemp("empty")), lambda place: None)


def _kept(place: Place, make: Callable[[Place], None]) -> Iterator[Place]:
    try:
        make(place)
        place.start()
        yield place
    finally:
        place.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser. It belongs to one file, because its event loop would disturb the tests of others."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), "")
    if not program:
        pytest.skip(WITHOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


def enter(context: BrowserContext, place: Place) -> None:
    """Come in with a code that is good once, and keep the cookies for those who come later."""
    page = context.new_page()
    page.goto(place.fairway("ui", "--no-browser").strip())
    place.cookies = [dict(cookie) for cookie in context.cookies()]
    page.close()


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Open]:
    """Gives people in front of a browser: `reader(place, width=360, dark=True, script=False, keyboard=True, touch=True)`."""
    opened: list[Reader] = []

    def give(
        place: Place, *, width: int = 1280, height: int = 850, dark: bool = False, **more: Any
    ) -> Reader:
        ways = {name: more.pop(name) for name in ("script", "keyboard", "touch") if name in more}
        if ways.get("touch"):
            more |= {"has_touch": True, "is_mobile": True}
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=ways.get("script", True),
            **more,
        )
        if not place.cookies:
            enter(context, place)
        context.add_cookies(place.cookies)
        opened.append(Reader(context, place, **ways))
        return opened[-1]

    yield give
    for one in opened:
        one.context.close()
    for one in opened:
        one.check()
