"""The rules of `.gitignore`, for folders that are in no repository, and for the patterns of `[tool.fairway]`.

The last rule that fits a path decides. Must not know which files a project has.
"""

import os
import re
from collections.abc import Iterable
from functools import lru_cache

_FILE = ".gitignore"
_MOST_BYTES = 2**20


class Rules:
    """Rules in their order, each relative to a folder.

    Args:
        lines: the lines of an ignore file.
        base: the folder of the file, as a path with forward slashes below the root; empty for the root itself.
    """

    __slots__ = ("_rules",)

    def __init__(self, lines: Iterable[str] = (), base: str = "") -> None:
        self._rules = tuple(rule for rule in (_rule(line, base) for line in lines) if rule is not None)

    def and_of(self, folder: str, base: str) -> "Rules":
        """Return these rules and those of the `.gitignore` in a folder, if there is one.

        Args:
            folder: the path of the folder on the disk.
            base: its path below the root.
        """
        try:
            with open(os.path.join(folder, _FILE), encoding="utf-8", errors="replace") as stream:
                lines = stream.read(_MOST_BYTES).split("\n")
        except OSError:
            return self
        more = Rules(lines, base)
        more._rules = self._rules + more._rules
        return more

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Tell whether a path below the root is left out. Whoever walks does not enter folders that are left out."""
        for wanted, folders_only, pattern in reversed(self._rules):
            if (is_folder or not folders_only) and pattern.fullmatch(path):
                return not wanted
        return False

    def keeps(self, path: str) -> bool:
        """Tell whether a rule says of a file that it is not left out."""
        found = (wanted for wanted, only, rule in reversed(self._rules) if not only and rule.fullmatch(path))
        return next(found, False)

    def leave_out_below(self, path: str) -> bool:
        """Tell whether a file is left out, by itself or with one of the folders above it."""
        parts = path.split("/")
        folders = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return any(self.leaves_out(folder, is_folder=True) for folder in folders) or self.leaves_out(
            path, is_folder=False
        )


def _rule(line: str, base: str) -> "tuple[bool, bool, re.Pattern[str]] | None":
    """Read a line: whether its files are wanted after all, whether it means folders only, and the pattern of paths."""
    line = line.rstrip("\r")
    text = re.sub(r"(?<!\\)((?:\\\\)*) +$", r"\1", line)
    if not text or text.startswith("#"):
        return None
    wanted = text.startswith("!")
    text = text.removeprefix("!") if wanted else text
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    if not text:
        return None
    anchored = "/" in text
    body = _expression(text.removeprefix("/"))
    if body is None:
        return None
    start = re.escape(f"{base}/") if base else ""
    return wanted, folders_only, _compiled(f"{start}{body}" if anchored else f"{start}(?:.*/)?{body}")


@lru_cache(4096)
def _compiled(expression: str) -> "re.Pattern[str]":
    return re.compile(expression, re.DOTALL)


def _expression(text: str) -> str | None:
    """Return the regular expression of a pattern; None for a pattern that fits nothing."""
    parts = text.split("/")
    made = ""
    for place, part in enumerate(parts):
        is_last = place == len(parts) - 1
        if part == "**":
            # As a whole part, two stars stand for any number of folders.
            made += ".+" if is_last else "(?:.*/)?"
            continue
        piece = _part(part)
        if piece is None:
            return None
        made += piece if is_last else f"{piece}/"
    return made


def _part(text: str) -> str | None:
    """Return the regular expression of one part of a path; None for a pattern that fits nothing."""
    made, place = "", 0
    while place < len(text):
        letter = text[place]
        place += 1
        if letter == "*":
            made += "[^/]*"
        elif letter == "?":
            made += "[^/]"
        elif letter == "\\":
            if place == len(text):
                return None
            made += re.escape(text[place])
            place += 1
        elif letter == "[":
            found = _letters(text, place)
            if found is None:
                return None
            piece, place = found
            made += piece
        else:
            made += re.escape(letter)
    return made


def _letters(text: str, start: int) -> tuple[str, int] | None:
    """Return the expression for letters in brackets, and the place behind them; None without a closing bracket."""
    place = start
    negated = text[place : place + 1] in ("!", "^")
    place += negated
    made, first = "", True
    while place < len(text) and (text[place] != "]" or first):
        first = False
        named = re.match(r"\[:([a-z]+):\]", text[place:])
        if named is not None:
            made += _CLASSES.get(named[1], "")
            place += len(named[0])
            continue
        place += text[place] == "\\"
        if place >= len(text):
            return None
        low, place = text[place], place + 1
        high = low
        if text[place : place + 1] == "-" and text[place + 1 : place + 2] not in ("", "]"):
            place += 1 + (text[place + 1] == "\\")
            high, place = text[place : place + 1], place + 1
        if low <= high:
            made += f"{re.escape(low)}-{re.escape(high)}" if low != high else re.escape(low)
    if place >= len(text):
        return None
    if not made:
        return ("[^/]" if negated else "(?!)"), place + 1
    return (f"(?!/)[{'^' if negated else ''}{made}]"), place + 1


_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
