"""The record of each attempt, created once and never changed: the first one committed is the truth.

A record is one file: a line of JSON, which begins with the store's seal over the rest, and a line with its sha256. It gets
its name before it is synced, whole as far as any process can see; one fsync then makes content and name durable together.
What a power loss cut short does not match its checksum and counts as absent, and so does what somebody without this user's
key wrote. Knows nothing of what the record means.
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
    """Records below `runs/<run>/results`. Safe under any number of processes."""

    def __init__(self, root: Path) -> None:
        self._layout = Layout(root)
        self._temporary = str(self._layout.temporary)
        self._key_folder = ownkey.place()  # a project that is imported later may change the environment
        self._seal: ownership.Seal | None = None
        self._checked: set[str] = set()

    def seal(self) -> ownership.Seal | None:
        """The seal of the store, looked up once it is there; a host does so before it forks."""
        if self._seal is None:
            self._seal = ownership.seal_of(str(self._layout.root), self._key_folder)
        return self._seal

    def commit(self, result: StepResult) -> bool:
        """Write the record durably; False when one was there already.

        Raises:
            StorageError: it could not be written; nothing is left behind then.
        """
        base = self._path(result.run, result.step, result.attempt)
        with Explaining("storing the record of a step", base):
            body = _sealed(_encode(result), self.seal())
            content = b"%b\nsha256 %b\n" % (body, hashlib.sha256(body).hexdigest().encode())
            self._check(base)
            return self._create(base, content)

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """The record, or None when there is none or it was cut short by a power loss."""
        base = self._path(run, step, attempt)
        with Explaining("reading the record of a step", base):
            self._check(base)
            return _first_whole(base, self.seal())[0]

    def _check(self, base: str) -> None:
        """Look at the folders on the way to a record once."""
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
                os.unlink(path)
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
    """The first record under a name that is whole, or the next name to use; none is overwritten."""
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
    """A record with its seal as the first key, which an earlier Fairway reads over."""
    if seal is None:
        return body
    return b'%b%b",%b' % (_SEAL, seal.over(b"result", body).encode(), body[1:])


def _is_own(body: bytes, seal: ownership.Seal | None) -> bool:
    """Whether a record counts: it has the store's seal, or the store was taken over with all that was in it."""
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
