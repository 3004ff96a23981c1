"""A store of one value in a temporary folder, as the tests of formats need it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairway.formats import Encoded, decode, encode

sys.path.insert(0, str(Path(__file__).parent / "table"))

os.environ.setdefault("KERAS_BACKEND", "jax")


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[Encoded], bytes | Path]:
    """Writes an encoded value down; returns what a store would give back."""
    count = iter(range(1000))

    def write(encoded: Encoded) -> bytes | Path:
        target = tmp_path / f"content-{next(count)}"
        if encoded.data is not None:
            return encoded.data
        if encoded.write is not None:
            with open(target, "wb") as stream:
                encoded.write(stream)
        elif encoded.folder is not None:
            target.mkdir()
            encoded.folder(target)
        else:
            assert encoded.source is not None
            return encoded.source
        return target

    return write


@pytest.fixture
def trip(keep: Callable[[Encoded], bytes | Path]) -> Callable[..., Any]:
    """Encodes a value, checks its format, and decodes it."""

    def run(value: object, format: str, *, trusted: bool = False) -> Any:
        encoded = encode(value)
        assert encoded.format == format
        content = keep(encoded)
        again = decode(encoded.format, content, encoded.kind, allow_pickle=trusted)
        if isinstance(content, bytes):
            path = keep(Encoded(format=format, kind="", write=lambda stream: stream.write(content) and None))
            decode(encoded.format, path, encoded.kind, allow_pickle=trusted)
        return again

    return run
