"""New files of a store, which stay in the folder of unfinished files until they are whole.

Knows nothing about the meaning of the content, nor where a finished file goes.
"""

import os
from contextlib import suppress

from fairway import confined
from fairway.stores.durable import sync, temporary_name

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Unfinished:
    """A new file in the folder of unfinished files, which stays the same folder whatever is put in its place."""

    def __init__(self, root: str) -> None:
        self.name = temporary_name()
        self.folder = confined.enter(root, ("blobs", "tmp"), made=sync)
        try:
            self.fd = os.open(self.name, _NEW, 0o400, dir_fd=self.folder)
        except BaseException:
            os.close(self.folder)
            raise

    def discard(self) -> None:
        """Close the file, and remove it if it has no other name."""
        os.close(self.fd)
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self.folder)
        os.close(self.folder)
