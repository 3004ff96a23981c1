"""The program that compiles modules for an image. It is started as a file by any Python, so it imports nothing of Fairway.

It reads one line for each module: the source, the file to write and the name of the source in the image. The code is never
compared with its source again, so that neither times nor a read-only file system matter. A source with an error is left out,
as some packages bring templates.
"""

import py_compile
import sys


def main() -> None:
    """Compile the modules that standard input names."""
    for line in sys.stdin.buffer.read().decode().splitlines():
        source, target, name = line.split("\0")
        try:
            py_compile.compile(
                source,
                cfile=target,
                dfile=name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, ValueError, RecursionError):
            continue


if __name__ == "__main__":
    main()
