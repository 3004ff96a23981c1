"""The output of a project during its import, on its way to standard error without secrets and harmless for a terminal."""

import contextlib
import sys
from pathlib import Path

from fairway.author import redaction, secret_names
from fairway.spec.errors import FairwayError
from fairway.spec.text import harmless


class ImportOutput:
    """The printer for the output of the hosts of one project.

    Args:
        file: the project file; empty for a pipeline of a notebook.
    """

    def __init__(self, file: str) -> None:
        folder = Path(file).parent if file else Path.cwd()
        with contextlib.suppress(FairwayError):  # the host reports the error
            redaction.name_more(secret_names.read(folder))
        self._stream = redaction.Stream()
        self._line = b""

    def write(self, data: bytes) -> None:
        """Print a piece of output. Empty data stands for the end of an import, where a line may be unfinished."""
        redactor = redaction.refresh()
        clean = self._line + (self._stream.feed(data, redactor) if data else self._stream.end(redactor))
        *lines, self._line = clean.split(b"\n")
        if not data and self._line:
            lines.append(self._line)
            self._line = b""
        with contextlib.suppress(OSError, ValueError):  # standard error may be closed
            for line in lines:
                sys.stderr.write(harmless(line.decode("utf-8", "replace")) + "\n")
            sys.stderr.flush()


_printers: dict[str, ImportOutput] = {}


def print_import(file: str, data: bytes) -> None:
    """Print output of a host of the project in `file`."""
    if file not in _printers:
        _printers[file] = ImportOutput(file)
    _printers[file].write(data)
