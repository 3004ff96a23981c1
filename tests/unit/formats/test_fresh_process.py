"""Every kind of value, written here and read in processes that have nothing of this one."""

import json
import subprocess
import sys
from pathlib import Path

import every_kind
import pytest

from fairway.formats import encode

TABLE = Path(__file__).parent / "table"


def _write(folder: Path) -> dict[str, str]:
    """Store every value in a folder; returns the format that each got, or the error."""
    entries: list[dict[str, object]] = []
    formats: dict[str, str] = {}
    for number, (name, make) in enumerate(every_kind.VALUES.items()):
        try:
            encoded = encode(make())
        except Exception as error:
            formats[name] = f"{type(error).__name__}: {error}"
            continue
        target = folder / f"value-{number}"
        if encoded.data is not None:
            target.write_bytes(encoded.data)
        elif encoded.write is not None:
            with open(target, "wb") as stream:
                encoded.write(stream)
        else:
            assert encoded.folder is not None
            target.mkdir()
            encoded.folder(target)
        formats[name] = encoded.format
        entry = {"name": name, "format": encoded.format, "kind": encoded.kind, "file": target.name}
        entries.append({**entry, "inline": encoded.data is not None})
    (folder / "entries.json").write_text(json.dumps(entries))
    return formats


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """The formats of all values, and what a fresh process says of each."""
    folder = tmp_path_factory.mktemp("table")
    formats = _write(folder)
    command = [sys.executable, str(TABLE / "reader.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return formats, dict(json.loads(line) for line in done.stdout.splitlines())


def test_every_kind_comes_back_exactly_in_a_fresh_process(
    written: tuple[dict[str, str], dict[str, str]],
) -> None:
    _, said = written
    assert {name: found for name, found in said.items() if found != "same"} == {}
    assert set(said) == set(every_kind.VALUES)


def test_every_kind_is_held_by_the_first_format_that_can(
    written: tuple[dict[str, str], dict[str, str]],
) -> None:
    formats, _ = written
    assert {name: format for name, format in formats.items() if format != every_kind.FORMATS[name]} == {}
