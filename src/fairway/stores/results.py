"""The records of attempts. A record is created once and never changed, and the first one committed counts.

A record is a file of two lines: JSON that begins with the seal of the store over the rest, and the SHA-256 of the first line.
It is written completely, then linked to its name, and then one fsync makes content and name durable together. A record that a
power loss cut short does not match its checksum and counts as absent. A record without the seal of this user counts as absent
too. Knows nothing about the meaning of a record.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from fairway import confined
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.spec.run import StepResult
from fairway.stores import ownership, ownkey
from fairway.stores.durable import make_folders, sync, temporary_name, write_all
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout, safe_name

_encode = msgspec.json.Encoder().encode
_decoder: "msgspec.json.Decoder[StepResult]" = msgspec.json.Decoder(StepResult)
_GENERATIONS = 100
_SEAL = b'{"seal":"'
_SEALED = len(_SEAL) + 64
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileResults:
    """The records below `runs/<run>/results`. Any number of processes may use them."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._root = str(self._layout.root)
        # Found now: a project that is imported later may change the environment.
        self._key_folder = ownkey.place()
        self._seal: ownership.Seal | None = None
        self._run = ""
        self._folders: tuple[int, int] | None = None
        """Descriptors of the folder of new files and of the records of `_run`."""

    def seal(self) -> ownership.Seal | None:
        """Return the seal of the store and keep it."""
        if self._seal is None:
            self._seal = ownership.seal_of(self._root, self._key_folder)
        return self._seal

    def prepare(self, run: str) -> None:
        """Look up the seal and open the folders of a run, so that processes forked from here need not.

        What goes wrong here goes wrong again in `commit`, which reports it.
        """
        if run != self._run:
            with suppress(StorageError, OSError):
                self.seal()
                self._open(run)

    def commit(self, result: StepResult) -> bool:
        """Write a record durably. Return false if the attempt already has one.

        Raises:
            StorageError: the record could not be written. Nothing is left behind then.
        """
        base = self._path(result.run, result.step, result.attempt)
        with Explaining("storing the record of a step", base):
            body = _sealed(_encode(result), self.seal())
            content = b"%b\nsha256 %b\n" % (body, hashlib.sha256(body).hexdigest().encode())
            known = self._folders if result.run == self._run else None
            try:
                return self._create(base, content, known or self._open(result.run))
            except FileNotFoundError:
                make_folders(self._root)  # nothing is there yet, or somebody removed what was open
                return self._create(base, content, self._open(result.run))

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """Read the record of an attempt; None if there is none or a power loss cut it short."""
        base = self._path(run, step, attempt)
        with Explaining("reading the record of a step", base):
            try:
                folder = confined.enter(self._root, ("runs", safe_name(run), "results"))
            except FileNotFoundError:
                return None
            try:
                return _first_whole(base, folder, self.seal())[0]
            finally:
                os.close(folder)

    def _open(self, run: str) -> tuple[int, int]:
        """Open the folders of a run and keep them open. Nobody can lead the run's records elsewhere from here on."""
        if self._folders is not None:
            for fd in self._folders:
                os.close(fd)
            self._run, self._folders = "", None
        temporary = confined.enter(self._root, ("blobs", "tmp"), made=sync)
        try:
            records = confined.enter(self._root, ("runs", safe_name(run), "results"), made=sync)
        except BaseException:
            os.close(temporary)
            raise
        self._run, self._folders = run, (temporary, records)
        return self._folders

    def _path(self, run: str, step: str, attempt: int) -> str:
        return f"{self._root}/runs/{safe_name(run)}/results/{safe_name(step)}.{attempt}.json"

    def _create(self, base: str, content: bytes, folders: tuple[int, int]) -> bool:
        temporary, (whence, folder) = temporary_name(), folders
        fd = os.open(temporary, _NEW, 0o600, dir_fd=whence)
        try:
            write_all(fd, content)
            path = base
            while True:
                name = path.rpartition("/")[2]
                try:
                    # A link fails if the name exists; a rename would replace the record that another process committed.
                    os.link(temporary, name, src_dir_fd=whence, dst_dir_fd=folder, follow_symlinks=False)
                    break
                except FileExistsError:
                    record, free = _first_whole(base, folder, self.seal())
                    if record is not None or not free:
                        return False
                    path = free
            try:
                sync(fd, path)
            except BaseException:
                os.unlink(name, dir_fd=folder)  # it is not durable, so nobody may rely on it
                raise
            return True
        finally:
            os.close(fd)
            os.unlink(temporary, dir_fd=whence)


def _first_whole(base: str, folder: int, seal: ownership.Seal | None) -> tuple[StepResult | None, str]:
    """Return the first whole record of an attempt, or the next free name. A damaged record is never overwritten."""
    path = base
    for generation in range(1, _GENERATIONS):
        try:
            fd = confined.open_file(path, within=folder)
        except FileNotFoundError:
            return None, path
        try:
            content = _read(fd)
        finally:
            os.close(fd)
        record = _decoded(content, seal)
        if record is not None:
            return record, ""
        path = f"{base}~{generation}"
    return None, ""


def _read(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    content = os.read(fd, size + 1)
    while len(content) < size:
        more = os.read(fd, size - len(content))
        if not more:
            break
        content += more
    return content


def _sealed(body: bytes, seal: ownership.Seal | None) -> bytes:
    """Return a record with its seal as the first key. An earlier Fairway ignores that key."""
    if seal is None:
        return body
    return b'%b%b",%b' % (_SEAL, seal.over(b"result", body).encode(), body[1:])


def _is_own(body: bytes, seal: ownership.Seal | None) -> bool:
    """Tell whether a record counts: it has the seal of the store, or the store was taken over as a whole."""
    if seal is None or seal.record.adopted:
        return True
    given, rest = body[len(_SEAL) : _SEALED], b"{" + body[_SEALED + 2 :]
    return body.startswith(_SEAL) and given == seal.over(b"result", rest).encode()


def _decoded(content: bytes, seal: ownership.Seal | None) -> StepResult | None:
    body, newline, check = content.partition(b"\nsha256 ")
    if not newline or check != hashlib.sha256(body).hexdigest().encode() + b"\n":
        return None
    if not _is_own(body, seal):
        return None
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        return None
