"""Texts of a user's code in a form that every record, protocol and terminal can hold.

Python lets a text hold what no encoding has, such as the bytes of a file name that is not UTF-8, and it may be of
any length. Knows nothing of what a text means.
"""

import re
from functools import cache

_HIDDEN = r"\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff"
_MARK = "\n… {} characters left out …\n"


def legible(text: str) -> str:
    """The text with an escape, such as `\\udcff`, for each character that UTF-8 does not have."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def shortened(text: str, limit: int) -> str:
    """A text of one line, cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def bounded(text: str, head: int, tail: int) -> str:
    """A text of many lines without its middle, where it is longer than `head` and `tail` together."""
    left_out = len(text) - head - tail
    if left_out <= len(_MARK):
        return text
    return f"{text[:head]}{_MARK.format(left_out)}{text[-tail:]}"


def harmless(text: str) -> str:
    """A text as a terminal may get it, in lines and with tabs: what would be carried out or hidden there is gone."""
    return text if text.isprintable() else _control().sub("", text)


def one_line(text: str) -> str:
    """A text as a terminal may get it in the middle of a line: a line's end in it is seen as `\\n`."""
    return text if text.isprintable() else harmless(text).replace("\n", "\\n")


def plain(text: str) -> str:
    """A line of output as it may be shown anywhere.

    Of a line that was drawn over itself (a progress bar), the last state that says something is left.
    """
    if "\r" in text:
        parts = [part for part in map(harmless, text.split("\r")) if part.strip()]
        return parts[-1] if parts else ""
    return harmless(text)


def escaped(text: str) -> str:
    """JSON in which every character that is not visible, or changes the order of others, is written as an escape."""
    return text if text.isascii() and "\x7f" not in text else _unseen().sub(_escape, text)


# Few texts need these patterns, and every command and host would wait a millisecond for them to be compiled.


@cache
def _control() -> re.Pattern[str]:
    """Escape codes, controls, and marks that are not seen or change the order in which a text is read; not tab and newline."""
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
