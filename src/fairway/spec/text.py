"""Texts of a user's code in a form that every record, protocol and terminal can hold.

A text in Python may hold characters that no encoding has, such as the bytes of a file name that is not UTF-8, and it
may have any length. This module must not know the meaning of a text.
"""

import re
from functools import cache

_HIDDEN = r"\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
_MARK = "\n… {} characters left out …\n"


def legible(text: str) -> str:
    """Return a text with an escape, such as `\\udcff`, for each character that UTF-8 does not have."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def shortened(text: str, limit: int) -> str:
    """Return a text of one line, cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def bounded(text: str, head: int, tail: int) -> str:
    """Return a text of many lines. Cut out its middle if it is longer than `head` and `tail` together."""
    left_out = len(text) - head - tail
    if left_out <= len(_MARK):
        return text
    return f"{text[:head]}{_MARK.format(left_out)}{text[-tail:]}"


def harmless(text: str) -> str:
    """Return a text that is safe for a terminal. Keep lines and tabs; drop what a terminal would carry out or hide."""
    return text if text.isprintable() else _control().sub("", text)


def one_line(text: str) -> str:
    """Return a text that is safe for a terminal in the middle of a line. The end of a line in it becomes `\\n`."""
    return text if text.isprintable() else harmless(text).replace("\n", "\\n")


def plain(text: str) -> str:
    """Return a line of output in a form that may be shown anywhere.

    If the line was drawn over itself, as a progress bar is, return its last state that is not blank.
    """
    if "\r" in text:
        parts = [part for part in map(harmless, text.split("\r")) if part.strip()]
        return parts[-1] if parts else ""
    return harmless(text)


def escaped(text: str) -> str:
    """Return JSON with an escape for every character that is not visible or changes the order of others."""
    return text if text.isascii() and "\x7f" not in text else _unseen().sub(_escape, text)


# Few texts need these patterns, and to compile them would cost every command and host a millisecond: compile on first use.


@cache
def _control() -> re.Pattern[str]:
    """Compile the pattern of escape codes, controls, and marks that are not seen or change the order of a text.

    Tab and newline are not among them.
    """
    return re.compile(
        r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor movements
        r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # titles, links and other strings for the terminal
        r"|\x1b[ -/]*[0-~]?"
        r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
        rf"|[{_HIDDEN}]",
        re.DOTALL,
    )


@cache
def _unseen() -> re.Pattern[str]:
    return re.compile(rf"[\x7f-\x9f{_HIDDEN}]")


def _escape(found: re.Match[str]) -> str:
    pairs = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[place]:02x}{pairs[place + 1]:02x}" for place in range(0, len(pairs), 2))
