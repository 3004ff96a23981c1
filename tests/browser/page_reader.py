"""A person in front of a real browser, who counts what they do, and for whom nothing may go wrong unseen."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from page_stores import Place
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Locator, Page, Request, Response

PATIENCE = 60_000
"""Milliseconds after which a test gives up. It is no measure: a busy machine takes long for everything."""

FARTHEST = 120
"""Presses of Tab after which somebody without a mouse gives up."""

WATCH = """
window.__shift = 0;
window.__moved = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    window.__shift += entry.value;
    for (const source of entry.sources || []) window.__moved.push(source.node?.outerHTML?.slice(0, 120) || "");
  }
}).observe({ type: "layout-shift", buffered: true });
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("policy: " + event.violatedDirective + " " + event.blockedURI + " " + event.sample));
"""

TOO_WIDE = """() => {
  const page = document.documentElement, width = page.clientWidth;
  const kept = (one) => {
    for (; one && one !== document.body; one = one.parentElement)
      if (getComputedStyle(one).overflowX !== "visible") return true;
    return false;
  };
  const found = [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > width + 1 && !kept(one.parentElement))
    .map((one) => `${one.outerHTML.slice(0, 120)} up to ${one.getBoundingClientRect().right}`);
  return page.scrollWidth <= width ? [] : [`${page.scrollWidth} of ${width} at ${location.pathname}`, ...found.slice(0, 5)];
}"""


class Reader:
    """A page of a browser that belongs to somebody.

    Attributes:
        keyboard: whether they have no mouse.
        touch: whether they have a screen that they touch.
        script: whether their browser runs scripts.
        clicks: presses of the mouse, and of Enter on what has the focus.
        keys: presses of keys. Text typed into one field counts as one.
        faults: errors on the console, errors in scripts, and requests to other hosts.
    """

    def __init__(self, context: BrowserContext, place: Place, **ways: bool) -> None:
        self.context = context
        self.keyboard = ways.get("keyboard", False)
        self.touch = ways.get("touch", False)
        self.script = ways.get("script", True)
        self.place = place
        self.clicks = 0
        self.keys = 0
        self.faults: list[str] = []
        self.requests: list[Request] = []
        self._expected: set[int] = set()
        context.add_init_script(WATCH)
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("request", self._on_request)
        self.page.on("response", self._on_response)
        self.page.on(
            "dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss())
        )
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since the start or the last `begin`."""
        return time.monotonic() - self._begun

    def begin(self) -> None:
        """Count anew."""
        self.clicks = self.keys = 0
        self._begun = time.monotonic()

    def open(self, path: str, status: int = 200) -> None:
        """Open a page by its address."""
        self._expected.add(status)
        answer = self.page.goto(self.place.url + path)
        seen = answer.status if answer is not None else 0
        assert seen == status, path

    def click(self, target: Locator | str) -> None:
        """Press the mouse on something that can be seen. Without a mouse, walk there by Tab and press Enter."""
        found = self.page.locator(target) if isinstance(target, str) else target
        if self.keyboard:
            self._walk(found)
            self.press("Enter")
            return
        self._press(found)

    def _press(self, found: Locator) -> None:
        if self.touch:
            found.tap()
        else:
            found.click()
        self.clicks += 1

    def type(self, target: Locator, text: str) -> None:
        """Replace the text of a field."""
        if self.keyboard:
            self._walk(target)
        target.fill(text)
        self.keys += 1

    def choose(self, box: Locator) -> None:
        """Tick a box. Without a mouse, walk there by Tab and press Space."""
        if self.keyboard:
            self._walk(box)
            self.press("Space")
        else:
            self._press(box)
        assert box.is_checked()

    def skip(self, name: str = "Skip to the list") -> None:
        """Follow one of the links at the very top, which leads past the others."""
        if self.keyboard:
            self.click(self.page.locator("a.skip", has_text=name))

    def _walk(self, target: Locator) -> None:
        target.wait_for(state="attached")
        for _ in range(FARTHEST):
            if target.evaluate("(one) => one === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"{target} is not reached by Tab")

    def press(self, key: str, times: int = 1) -> None:
        """Press a key."""
        for _ in range(times):
            self.page.keyboard.press(key)
            self.keys += 1
        self.clicks += times if key == "Enter" else 0

    def link(self, name: str) -> Locator:
        """The first link with these words."""
        return self.page.get_by_role("link", name=name).first

    def button(self, name: str) -> Locator:
        """The first button with these words."""
        return self.page.get_by_role("button", name=name).first

    def text(self) -> str:
        """Return the visible text of the page."""
        return self.page.locator("body").inner_text()

    def until(self, what: Callable[[], object], seconds: float = 90.0) -> None:
        """Wait until something is true of the page, which is loaded again only where scripts do not run."""
        deadline = time.monotonic() + seconds
        while not self._is_true(what):
            assert time.monotonic() < deadline, f"it did not come true; the page says:\n{self.text()[:2000]}"
            self.page.wait_for_timeout(100)
            if not self.script:
                self.page.reload()

    @staticmethod
    def _is_true(what: Callable[[], object]) -> bool:
        try:
            return bool(what())
        except Error:  # The page was left while it was looked at.
            return False

    def too_wide(self) -> list[str]:
        """Return what makes the page wider than the window; nothing for a page that fits."""
        return list(self.page.evaluate(TOO_WIDE))

    def shift(self) -> tuple[float, list[str]]:
        """Return how far the page jumped by itself, and what did."""
        measured: Any = self.page.evaluate("() => [window.__shift, window.__moved]")
        return float(measured[0]), list(measured[1])

    def picture(self, path: Path) -> None:
        """Keep a picture of the whole page."""
        self.page.screenshot(path=path, full_page=True)

    def check(self) -> None:
        """Fail if anything went wrong that a person would not have seen."""
        assert self.faults == []

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type != "error":
            return
        refused = any(f"status of {status}" in message.text for status in self._expected if status >= 400)
        if not refused:
            self.faults.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        own = f"{parts.scheme}://{parts.netloc}" == self.place.url or parts.scheme in (
            "data",
            "blob",
            "about",
        )
        if not own:
            self.faults.append(f"request to {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status} of {response.url}")


Open = Callable[..., Reader]
"""Opens the browser for a person, as the fixture `reader` does."""
