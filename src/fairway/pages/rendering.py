"""Templates turned into HTML. All values are escaped. Must not know what a page is about."""

import functools
import hashlib
import math
import time
from pathlib import Path
from typing import Any

from fairway.spec.quantities import format_duration, format_memory

STATIC_FILES = ("page.css", "page.js", "icon.svg")
"""The names of the files that a page loads."""

_FOLDER = Path(__file__).parent
_ENGLISH = {
    "Pending": "pending",
    "Running": "running",
    "Succeeded": "done",
    "Failed": "failed",
    "Cancelled": "cancelled",
}


@functools.cache
def _environment() -> Any:
    # The process that serves pages may never be asked for one, so Jinja is loaded by the first page.
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "moment": moment,
        "length_of_time": length_of_time,
        "bytes": size,
        "figure": figure,
        "word": word,
    }
    made.globals["static"] = static_address
    return made


def render(template: str, values: dict[str, Any]) -> str:
    """Return a template of this folder, filled with values."""
    return str(_environment().get_template(template).render(values))


@functools.cache
def static_file(name: str) -> bytes:
    """Return the content of a style sheet, script or icon. Raises KeyError."""
    folder = _FOLDER / "static"
    if name == "icon.svg":
        return (folder / name).read_bytes()
    # A page loads one style sheet and one script. Each subject has a file of its own in the folder.
    kind = {"page.css": "*.css", "page.js": "*.js"}[name]
    return b"\n".join(path.read_bytes() for path in sorted(folder.glob(kind)))


@functools.cache
def static_address(name: str) -> str:
    """Return the address of a static file. It changes with the content, so that a browser may keep the file for ever."""
    return f"/static/{name}?{hashlib.sha256(static_file(name)).hexdigest()[:12]}"


def moment(seconds: float) -> str:
    """Return a time as date and time of day in UTC, which the script turns into local time. Empty for 0."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) if seconds else ""
    except (OverflowError, ValueError, OSError):
        return ""


def length_of_time(seconds: float) -> str:
    """Return a length of time for people, such as "2.1 s"."""
    return format_duration(max(0.0, seconds)) if math.isfinite(seconds) else ""


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return format_memory(count)


def figure(value: object) -> str:
    """Return a number with at most five significant digits. Any other value is returned as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def word(phase: str) -> str:
    """Return a phase as a word for people."""
    return _ENGLISH.get(phase, phase.lower())
