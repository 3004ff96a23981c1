"""A process that looks into values for a page: `python -m fairway.formats.looking`.

Looks at tables and arrays load large libraries and read content that may come from anybody. So neither the memory of a
platform nor its life depends on them. A message is a length in eight bytes, a header as JSON, and the content. The process
ends when its input ends, or when nobody has asked for a while.
"""

import io
import resource
import select
import struct
import sys
from contextlib import suppress
from typing import BinaryIO

import msgspec

from fairway.formats.looks import Look, look
from fairway.spec.artifact import Artifact

IDLE_SECONDS = 60.0
"""The seconds without a question after which the process ends."""

MOST_MEMORY = 8 << 30
"""The bytes of address space that the process may have, so that no content makes it take the whole machine."""

LENGTHS = struct.Struct(">QQ")
"""The lengths of a header and of the content behind it."""

LENGTH = struct.Struct(">Q")
"""The length of an answer."""


def answer(asked: BinaryIO, said: BinaryIO) -> bool:
    """Read a question and write the answer. Return False when there is no further question."""
    head = asked.read(LENGTHS.size)
    if len(head) < LENGTHS.size:
        return False
    header, content = LENGTHS.unpack(head)
    artifact = msgspec.json.decode(asked.read(header), type=Artifact)
    seen = look(artifact, asked.read(content))
    data = msgspec.json.encode(seen)
    said.write(LENGTH.pack(len(data)) + data)
    said.flush()
    return True


def main() -> None:
    """Answer questions until nobody asks any more."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    asked, said = io.FileIO(0, closefd=False), sys.stdout.buffer
    # What a library prints must not come between the answers.
    sys.stdout = sys.stderr
    whole = _Whole(asked)
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        if not answer(whole, said):  # type: ignore[arg-type]
            return


class _Whole:
    """A stream whose `read` returns all the bytes that are asked for. It keeps none back, so that `select` can be trusted."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (piece := self._stream.read(size)):
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)


__all__ = ["IDLE_SECONDS", "LENGTH", "LENGTHS", "Look", "answer"]

if __name__ == "__main__":
    main()
