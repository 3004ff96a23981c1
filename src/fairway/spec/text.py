"""Texts of a user's code in a form that every record, protocol and terminal can hold.

Python lets a text hold what no encoding has, such as the bytes of a file name that is not UTF-8, and it may be of
any length. Knows nothing of what a text means.
"""

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
