"""Reads what another process wrote, in children of its own, and says what is not as it was.

Run as `python reader.py FOLDER`. Each child has the libraries and nothing that using them leaves behind: no
registered types, no caches. It reads all of its values first, and makes those to
compare with afterwards.
"""

import gc
import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import every_kind
import exact

from fairway.formats import decode

CHILDREN = 24


def main(folder: Path) -> None:
    """Print a line for each value: its name, and what is not as it was."""
    entries = json.loads((folder / "entries.json").read_text())
    gc.disable()
    for start in range(CHILDREN):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(out)
            _read(folder, entries[start::CHILDREN], into)
        os.close(into)
        with os.fdopen(out, "rb") as answer:
            sys.stdout.write(answer.read().decode())
        os.waitpid(child, 0)


def _read(folder: Path, entries: list[dict[str, str]], into: int) -> None:
    with os.fdopen(into, "w") as answer:
        found = [_value(folder, entry) for entry in entries]
        for entry, again in zip(entries, found, strict=True):
            print(json.dumps([entry["name"], _compared(entry["name"], again)]), file=answer)
    os._exit(0)


def _value(folder: Path, entry: dict[str, str]) -> object:
    stored = folder / entry["file"]
    try:
        return decode(entry["format"], stored.read_bytes() if entry["inline"] else stored, entry["kind"])
    except Exception:
        return Unreadable(traceback.format_exc())


def _compared(name: str, again: object) -> str:
    try:
        return "; ".join(exact.differences(every_kind.VALUES[name](), again)) or "same"
    except Exception:
        return traceback.format_exc()


class Unreadable(str):
    """Why a value could not be read."""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
