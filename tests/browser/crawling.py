"""Finds the pages of a platform by its links, one of each kind, so that a page that is added later is looked at as well."""

import re
import urllib.error
import urllib.request
from html import unescape
from urllib.parse import parse_qsl, urlsplit

from page_stores import Place

STARTS = ("/", "/runs", "/models", "/endpoints", "/system", "/new")
LINK = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]+)\"[^>]*>")
NAMED = re.compile(r"/(runs|steps|models|endpoints)/([^/]+)")
VERSION = re.compile(r"/models/\*/([^/]+)")
SEVERAL = {"/runs/*?": 2, "/runs/*/steps/*?": 3}
MOST = 60


def kind(address: str) -> str:
    """Return the address without the names in it, so that all runs have one."""
    parts = urlsplit(address)
    path = VERSION.sub("/models/*/*", NAMED.sub(r"/\1/*", parts.path))
    return path + "?" + "&".join(sorted({name for name, _ in parse_qsl(parts.query)}))


def fetched(place: Place, address: str) -> tuple[str, str]:
    """Return the type and the text of an address. Both are empty for what is no page of today."""
    asked = urllib.request.Request(place.url + address, headers={"authorization": f"Bearer {place.token}"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.headers.get_content_type(), answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise
        return "", ""


def pages(place: Place) -> list[str]:
    """Return one address of each kind of page that links lead to, and a few of those that are many things."""
    found: dict[str, list[str]] = {}
    waiting = list(STARTS)
    while waiting and len(found) < MOST:
        address = waiting.pop(0)
        same = found.get(kind(address), [])
        if address in same or len(same) >= SEVERAL.get(kind(address), 1):
            continue
        media, text = fetched(place, address)
        if media != "text/html":
            continue
        found.setdefault(kind(address), []).append(address)
        links = [unescape(link.group(1)) for link in LINK.finditer(text) if " download" not in link.group(0)]
        waiting += [link.partition("#")[0] for link in links if link.startswith("/")]
    return [address for same in found.values() for address in same]
