"""A part of a log that somebody looks at: from a place, at its end, or around a line that a search finds.

A look reads a bounded part of the file, however long the log is. This module knows one open file and nothing else.
"""

import os
from collections.abc import Callable

import msgspec

_PIECE = 1 << 22
_LINES = 1 << 18
"""The bytes that are read at once to find the beginnings of lines."""

_SEARCHED = 1 << 30
"""The bytes that one search looks through."""

_COUNTED = 1 << 28
"""The greatest place in a log up to which lines are counted."""

_STAMP = 20
"""The characters that the time before a line has at most."""

PROBLEMS = (b"error", b"exception", b"traceback", b"warning", b"critical", b"fatal")
"""The words that mark a line as a problem, in any case."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log.

    Attributes:
        lines: whole lines with the places where they begin.
        start: the place where the part begins.
        end: the place behind it.
        size: the bytes of the whole log.
        number: the number of the first line, from 1; 0 if it is too far from the beginning to be counted.
        found: the place of the line that a search found; −1 without one.
        searched: the place up to which the search looked.
    """

    lines: list[tuple[int, bytes]]
    start: int
    end: int
    size: int
    number: int = 0
    found: int = -1
    searched: int = 0


def part(fd: int, at: int, most: int, *, back: bool = False) -> Part:
    """Return lines of a log.

    Args:
        fd: the open file.
        at: a place in it. The line in which it lies is the first, or with `back` the first that is not returned. −1 is the end.
        most: the number of lines.
        back: True for the lines before the place.
    """
    size = _complete(fd)
    place = _line_start(fd, size if at < 0 else min(at, size), size)
    if back or (at < 0 and place == size):
        start = _before(fd, place, most)
        lines = _lines(fd, start, place, most)
    else:
        start = place
        lines = _lines(fd, start, size, most)
    end = lines[-1][0] + len(lines[-1][1]) + 1 if lines else start
    return Part(lines=lines, start=start, end=end, size=size, number=_number(fd, start))


def search(fd: int, words: tuple[bytes, ...], at: int, *, back: bool) -> tuple[int, int]:
    """Return the place of the line in which one of the words stands, in any case, and the place up to which was searched.

    Args:
        fd: the open file.
        words: what is looked for, in lower case.
        at: the place from which to look; −1 is the end for a search back, and the beginning for others.
        back: True for a search towards the beginning.

    Returns:
        the place of the line, or −1 if it was not found.
    """
    size = _complete(fd)
    longest = max(map(len, words))
    if back:
        return _search_back(fd, words, size if at < 0 else min(at, size), longest)
    return _search_on(fd, words, max(0, at), size, longest)


def _search_on(fd: int, words: tuple[bytes, ...], at: int, size: int, longest: int) -> tuple[int, int]:
    stop = min(size, at + _SEARCHED)
    while at < stop:
        data = os.pread(fd, min(_PIECE, stop - at) + longest, at)
        found = _first(data.lower(), words, lambda place, base=at: _is_text(fd, base + place))
        if found >= 0:
            return _line_start(fd, at + found, size), at + found
        if not data:
            break
        at += min(_PIECE, stop - at)
    return -1, stop


def _search_back(fd: int, words: tuple[bytes, ...], at: int, longest: int) -> tuple[int, int]:
    stop = max(0, at - _SEARCHED)
    while at > stop:
        low = max(stop, at - _PIECE)
        # A word that begins in this piece may end in the one that was looked at before.
        data = os.pread(fd, at - low + longest - 1, low)
        found = _last(data.lower(), words, at - low, lambda place, base=low: _is_text(fd, base + place))
        if found >= 0:
            return _line_start(fd, low + found, at), low + found
        at = low
    return -1, stop


def _first(data: bytes, words: tuple[bytes, ...], holds: Callable[[int], bool]) -> int:
    best = -1
    for word in words:
        place = data.find(word)
        while place >= 0 and not holds(place):
            place = data.find(word, place + 1)
        if place >= 0 and (best < 0 or place < best):
            best, data = place, data[: place + len(word)]
    return best


def _last(data: bytes, words: tuple[bytes, ...], stop: int, holds: Callable[[int], bool]) -> int:
    best = -1
    for word in words:
        place = data.rfind(word, 0, stop + len(word) - 1)
        while place >= 0 and not holds(place):
            place = data.rfind(word, 0, place + len(word) - 1)
        best = max(best, place)
    return best


def _is_text(fd: int, place: int) -> bool:
    """Tell whether a place lies in the text of a line, and not in the time before it."""
    low = max(0, place - _STAMP)
    before = os.pread(fd, place - low, low)
    line = before[before.rfind(b"\n") + 1 :]
    is_whole = low == 0 or b"\n" in before
    return not is_whole or b" " in line


def _complete(fd: int) -> int:
    """Return the place behind the last complete line."""
    return _behind_end_of_line(fd, os.fstat(fd).st_size)


def _line_start(fd: int, at: int, size: int) -> int:
    """Return the beginning of the line in which a place lies."""
    return size if at >= size else _behind_end_of_line(fd, at)


def _behind_end_of_line(fd: int, place: int) -> int:
    """Return the place behind the last end of a line before a place; 0 if there is none."""
    while place > 0:
        low = max(0, place - _LINES)
        found = os.pread(fd, place - low, low).rfind(b"\n")
        if found >= 0:
            return low + found + 1
        place = low
    return 0


def _before(fd: int, place: int, most: int) -> int:
    """Return the beginning of the line that is so many lines before a place."""
    left = most + 1
    at = place
    while at > 0:
        low = max(0, at - _LINES)
        data = os.pread(fd, at - low, low)
        count = data.count(b"\n")
        if count < left:
            left -= count
            at = low
            continue
        found = len(data)
        for _ in range(left):
            found = data.rfind(b"\n", 0, found)
        return low + found + 1
    return 0


def _lines(fd: int, start: int, stop: int, most: int) -> list[tuple[int, bytes]]:
    """Return at most so many complete lines of a stretch, with their places."""
    found: list[tuple[int, bytes]] = []
    at, rest = start, b""
    while at + len(rest) < stop and len(found) < most:
        piece = os.pread(fd, min(_LINES, stop - at - len(rest)), at + len(rest))
        if not piece:
            break
        whole, mark, rest_of_line = (rest + piece).rpartition(b"\n")
        if not mark:
            rest = rest_of_line
            continue
        for line in whole.split(b"\n"):
            if len(found) == most:
                break
            found.append((at, line))
            at += len(line) + 1
        rest = rest_of_line if len(found) < most else b""
    return found


def _number(fd: int, start: int) -> int:
    """Return the number of the line that begins at a place, from 1; 0 if that is too far."""
    if start > _COUNTED:
        return 0
    count = at = 0
    while at < start:
        piece = os.pread(fd, min(_PIECE, start - at), at)
        if not piece:
            break
        count += piece.count(b"\n")
        at += len(piece)
    return count + 1
