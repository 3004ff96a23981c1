"""A person before the pages without any script: opens an address, presses links and buttons by their words, and fills fields."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urljoin

import httpx2
import msgspec

_VOID = {"input", "link", "meta", "br", "img", "hr", "source"}


class Form:
    """A form with its fields as they are now."""

    def __init__(self, method: str, action: str) -> None:
        self.method = method
        self.action = action
        self.fields: dict[str, str] = {}
        self.buttons: list[str] = []


class Page(HTMLParser):
    """A page as a person sees it: its words, its links and its forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.html = text
        self.words: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.forms: list[Form] = []
        self._link = ""
        self._link_words: list[str] = []
        self._form: Form | None = None
        self._button: list[str] | None = None
        self._select = ""
        self._area: tuple[str, list[str]] | None = None
        self._silent = 0
        self.feed(text)

    @property
    def text(self) -> str:
        """All words in one line."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {name: value or "" for name, value in attrs}
        if tag in ("script", "style", "head"):
            self._silent += 1
        elif tag == "a":
            self._link, self._link_words = got.get("href", ""), []
        elif tag == "form":
            self._form = Form(got.get("method", "get"), got.get("action", ""))
            self.forms.append(self._form)
        elif tag == "button":
            self._button = []
        elif tag == "select":
            self._select = got.get("name", "")
        elif tag == "textarea":
            self._area = (got.get("name", ""), [])
        elif self._form is not None and tag == "option" and self._select:
            value = got.get("value", "")
            if self._select not in self._form.fields or "selected" in got:
                self._form.fields[self._select] = value
        elif self._form is not None and tag == "input" and got.get("type") != "checkbox":
            self._form.fields[got.get("name", "")] = got.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "head"):
            self._silent -= 1
        elif tag == "a":
            self.links.append((" ".join("".join(self._link_words).split()), self._link))
        elif tag == "form":
            self._form = None
        elif tag == "button" and self._button is not None:
            if self._form is not None:
                self._form.buttons.append(" ".join("".join(self._button).split()))
            self._button = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area is not None:
            if self._form is not None:
                self._form.fields[self._area[0]] = "".join(self._area[1])
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.words.append(data)
        self._link_words.append(data)
        if self._button is not None:
            self._button.append(data)
        if self._area is not None:
            self._area[1].append(data)


class Person:
    """A person with a browser that runs no script.

    Attributes:
        clicks: the links and buttons that were pressed.
        page: the page that is open.
        status: the status of that page.
        where: its path.
    """

    def __init__(self, root: Path, token: str = "") -> None:
        record = msgspec.json.decode((root / "platform" / "platform.json").read_bytes())
        own = token or (root / "platform" / "token").read_text()
        self.base = f"http://127.0.0.1:{record['port']}"
        self.client = httpx2.Client(
            base_url=self.base, headers={"authorization": f"Bearer {own}"}, timeout=120, trust_env=False
        )
        self.clicks = 0
        self.status = 0
        self.where = ""
        self.page = Page("")
        self._typed: dict[str, str] = {}

    def open(self, path: str) -> Page:
        """Open an address."""
        return self._took(self.client.get(path), path)

    def type(self, **fields: str) -> None:
        """Put texts into fields of the next form that is sent."""
        self._typed |= fields

    def press(self, words: str) -> Page:
        """Press the link or the button with these words."""
        self.clicks += 1
        for form in self.page.forms:
            if words in form.buttons:
                sent = form.fields | self._typed
                self._typed = {}
                if form.method == "get":
                    return self.open(f"{form.action}?{urlencode(sent)}")
                return self._took(self.client.post(form.action, data=sent), form.action)
        where = next((to for text, to in self.page.links if text == words), None)
        assert where is not None, (
            f"nothing to press says {words!r}: {self.page.links} {self.page.text[:2000]}"
        )
        return self.open(urljoin(self.where, where))

    def _took(self, answer: httpx2.Response, path: str) -> Page:
        while answer.status_code == 303:
            path = answer.headers["location"]
            answer = self.client.get(path)
        self.status, self.where, self.page = answer.status_code, path, Page(answer.text)
        return self.page
