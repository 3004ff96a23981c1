"""A step that returns a file of so many megabytes."""

import os

import fairway as fw


@fw.task
def stored(megabytes: int) -> fw.File:
    """A file that no file system can store in less room."""
    block = os.urandom(1_000_000)
    with open("large.bin", "wb") as file:
        for _ in range(megabytes):
            file.write(block)
    return fw.File("large.bin")


@fw.pipeline
def main(megabytes: int = 1000) -> fw.File:
    """The file alone."""
    return stored(megabytes)
