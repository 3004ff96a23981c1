"""The records of attempts. A record is created once and never changed, and the first one committed counts.

A record is a file of two lines: JSON that begins with the seal of the store over the rest, and the SHA-256 of the first line.
It is written completely, then linked to its name, and then one fsync makes content and name durable together. A record that a
power loss cut short does not match its checksum and counts as absent. A record without the seal of this user counts as absent
too. Knows nothing about the meaning of a record.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from fairway import confined
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


class FileResults:
    """The records below `runs/<run>/results`. Any number of processes may use them."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._temporary = str(self._layout.temporary)
        # Found now: a project that is imported later may change the environment.
        self._key_folder = ownkey.place()
        self._seal: ownership.Seal | None = None
        self._checked: set[str] = set()

    def seal(self) -> ownership.Seal | None:
        """Return the seal of the store and keep it. A host calls this before it forks, so that its children need not."""
        if self._seal is None:
            self._seal = ownership.seal_of(str(self._layout.root), self._key_folder)
        return self._seal

    def commit(self, result: StepResult) -> bool:
        """Write a record durably. Return false if the attempt already has one.

        Raises:
            StorageError: the record could not be written. Nothing is left behind then.
        """
        base = self._path(result.run, result.step, result.attempt)
        with Explaining("storing the record of a step", base):
            body = _sealed(_encode(result), self.seal())
            content = b"%b\nsha256 %b\n" % (body, hashlib.sha256(body).hexdigest().encode())
            self._check(base)
            return self._create(base, content)

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """Read the record of an attempt; None if there is none or a power loss cut it short."""
        base = self._path(run, step, attempt)
        with Explaining("reading the record of a step", base):
            self._check(base)
            return _first_whole(base, self.seal())[0]

    def _check(self, base: str) -> None:
        """Check once that no folder on the way to a record is a link."""
        folder = os.path.dirname(base)
        if folder not in self._checked:
            confined.below(str(self._layout.root), base)
            self._checked.add(folder)

    def _path(self, run: str, step: str, attempt: int) -> str:
        return f"{self._layout.root}/runs/{safe_name(run)}/results/{safe_name(step)}.{attempt}.json"

    def _create(self, base: str, content: bytes) -> bool:
        temporary = f"{self._temporary}/{temporary_name()}"
        fd = _open_new(temporary)
        try:
            write_all(fd, content)
            path = base
            while True:
                try:
                    # A link fails if the name exists; a rename would replace the record that another process committed.
                    os.link(temporary, path)
                    break
                except FileNotFoundError:
                    make_folders(os.path.dirname(base))
                except FileExistsError:
                    record, free = _first_whole(base, self.seal())
                    if record is not None or not free:
                        return False
                    path = free
            try:
                sync(fd, path)
            except BaseException:
                os.unlink(path)  # it is not durable, so nobody may rely on it
                raise
            return True
        finally:
            os.close(fd)
            os.unlink(temporary)


def _open_new(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        make_folders(os.path.dirname(path))
        return os.open(path, flags, 0o600)


def _first_whole(base: str, seal: ownership.Seal | None) -> tuple[StepResult | None, str]:
    """Return the first whole record of an attempt, or the next free name. A damaged record is never overwritten."""
    path = base
    for generation in range(1, _GENERATIONS):
        try:
            fd = confined.open_file(path)
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
    except msgspec.ValidationError:
        return None
