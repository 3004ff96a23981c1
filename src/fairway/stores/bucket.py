"""A part of a bucket of object storage: objects by key, below one prefix.

Every method blocks, is bounded in time and in tries, and may be called by any thread. An object is seen whole or not at all.
Credentials come from the environment of this process, as the providers' own programs find them, and are never kept here. Knows
keys and bytes, and nothing about artifacts.
"""

import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec

from fairway.spec.errors import StorageError
from fairway.spec.objects import ObjectPlace
from fairway.stores.refusals import StoreUnreachable, explain

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PIECE = 8 * 2**20
"""Bytes of one request at most. A request that broke off is repeated as a whole, and held in memory."""

_LEAST_PART = 5 * 2**20
_MOST_PARTS = 9000
_TRANSFERS = 4
"""Large objects on their way at once. Each holds some pieces in memory."""

_LISTED = 1000
_DEFAULT_REGION = "us-east-1"
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class Held(msgspec.Struct, frozen=True):
    """An object: its key without the prefix, its size, and when it was written by the clock of the store."""

    key: str
    size: int
    written: float


class _OwnError(Exception):
    """An error of the sender of content, which the library must not take for one of the store."""


class Bucket:
    """The objects below a prefix of a bucket.

    Args:
        place: the bucket and the prefix.

    Attributes:
        creates: false for a store that replaces an object that is only to be created.

    Raises:
        StorageError: the library is not installed, or a setting of the environment cannot be used.
    """

    def __init__(self, place: ObjectPlace) -> None:
        self.place = place
        self.creates = True
        try:
            import obstore
        except ImportError:
            raise StorageError(
                f"artifacts are at {place.name}, and this installation has no program for object storage",
                hint="`pip install 'fairway-ml[objects]'`, or use an image of this version",
            ) from None
        self._library = obstore
        # Two clients, because a question is answered soon or not at all, and a large piece takes its time.
        self._asking = _client(place, seconds=10, within=15)
        self._moving = _client(place, seconds=60, within=30)
        self._transfers = threading.BoundedSemaphore(_TRANSFERS)

    def find(self, key: str) -> Held | None:
        """Return an object; None if there is none. Raises StorageError."""
        with self._translated("asking for an object"):
            try:
                found = self._library.head(self._asking, key)
            except FileNotFoundError as error:
                return self._absent(error, "asking for an object")
        return Held(key, found["size"], found["last_modified"].timestamp())

    def read(self, key: str) -> bytes | None:
        """Return the content of a small object; None if there is none. Raises StorageError."""
        with self._translated("reading an object"):
            try:
                return bytes(self._library.get(self._moving, key).bytes())
            except FileNotFoundError as error:
                return self._absent(error, "reading an object")

    def beginning(self, key: str, length: int) -> bytes:
        """Return the first bytes of an object that is not empty; none if there is none. Raises StorageError."""
        with self._translated("reading an object"):
            try:
                return bytes(self._library.get_range(self._asking, key, start=0, length=length))
            except FileNotFoundError as error:
                self._absent(error, "reading an object")
                return b""

    def pieces(self, key: str, size: int) -> Iterator[bytes]:
        """Yield the content of an object of a known size. Raises StorageError, also if it is gone or shorter by then."""
        with self._transfers:
            for start in range(0, size, PIECE):
                length = min(PIECE, size - start)
                with self._translated("reading an object"):
                    piece = bytes(self._library.get_range(self._moving, key, start=start, length=length))
                if len(piece) != length:
                    raise StorageError(f"an object of {self.place.name} is shorter than it was: {key}")
                yield piece

    def create(self, key: str, data: bytes) -> bool:
        """Create an object. Return false if there is one. Raises StorageError."""
        if self.creates:
            return self.create_once(key, data)
        if self.find(key) is not None:
            return False
        self.put(key, data)
        return True

    def create_once(self, key: str, data: bytes) -> bool:
        """Create an object on the condition that there is none, which not every store understands. Raises StorageError."""
        from obstore.exceptions import AlreadyExistsError

        with self._translated("writing an object"):
            try:
                self._library.put(self._moving, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """Write an object, which replaces one of that key. Raises StorageError."""
        with self._translated("writing an object"):
            self._library.put(self._moving, key, data, use_multipart=False)

    def put_pieces(self, key: str, size: int, pieces: Iterable[bytes]) -> None:
        """Write a large object in parts. It appears once all pieces are there; if they end in an error, it does not.

        Raises:
            StorageError: the store refused a part.
        """

        def given() -> Iterator[bytes]:
            try:
                yield from pieces
            except Exception as error:
                raise _OwnError from error

        part = max(_LEAST_PART, -(-size // _MOST_PARTS))
        try:
            with self._transfers, self._translated("writing an object"):
                self._library.put(self._moving, key, given(), chunk_size=part, max_concurrency=2)
        except _OwnError as own:
            raise cast("Exception", own.__cause__) from None

    def listed(self, prefix: str) -> Iterator[Held]:
        """Yield every object whose key begins with a prefix that ends in a slash. Raises StorageError."""
        with self._translated("listing objects"):
            stream = cast("Any", self._library).list(self._moving, prefix, chunk_size=_LISTED)
        while True:
            with self._translated("listing objects"):
                chunk = next(stream, None)
            if chunk is None:
                return
            for one in chunk:
                yield Held(one["path"], one["size"], one["last_modified"].timestamp())

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. One that is not there is no error. Raises StorageError."""
        with self._translated("deleting objects"):
            for start in range(0, len(keys), _LISTED):
                try:
                    self._library.delete(self._moving, list(keys[start : start + _LISTED]))
                except FileNotFoundError as error:
                    self._absent(error, "deleting objects")

    def _absent(self, error: FileNotFoundError, doing: str) -> None:
        """Take note that an object is not there. Raises BucketGone if that is because its bucket is not."""
        told = explain(error, doing, self.place)
        if isinstance(told, StoreUnreachable):
            raise told from None

    @contextmanager
    def _translated(self, doing: str) -> Generator[None, None, None]:
        """Turn an error of the library into a StorageError for a person."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise explain(error, doing, self.place) from None


def _client(place: ObjectPlace, *, seconds: int, within: int) -> "ObjectStore":
    """Return a client whose requests take at most `seconds` and are repeated for at most `within`. Raises StorageError."""
    from obstore import store
    from obstore.exceptions import BaseError

    options = place.options
    common: dict[str, Any] = {
        "prefix": place.prefix or None,
        "client_options": {
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=seconds),
            "allow_http": place.plain or _is_plain_by_environment(place),
        },
        "retry_config": {"max_retries": 6, "retry_timeout": timedelta(seconds=within)},
    }
    endpoint = {"endpoint": options["endpoint"]} if "endpoint" in options else {}
    try:
        if place.kind == "s3":
            # The program of AWS takes a region from the environment, and other stores have none.
            named = options.get("region") or next(filter(None, map(os.environ.get, _REGIONS)), "")
            # The deletion of many objects at once is a word that not every store knows, and it carries a checksum.
            alone = bool(endpoint) or any(map(os.environ.get, _ENDPOINTS))
            return store.S3Store(
                place.bucket,
                region=named or _DEFAULT_REGION,
                disable_bulk_delete=alone,
                **endpoint,
                **common,
            )
        if place.kind == "gs":
            base = {"base_url": options["endpoint"]} if "endpoint" in options else {}
            return store.GCSStore(place.bucket, **base, **common)
        account = {"account_name": options["account"]} if "account" in options else {}
        return store.AzureStore(place.bucket, **account, **endpoint, **common)
    except (BaseError, ValueError, TypeError) as error:
        raise explain(error, "reading the settings of the store", place) from None


def _is_plain_by_environment(place: ObjectPlace) -> bool:
    """Tell whether the environment names an endpoint without TLS, as its owner wants it."""
    named = next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
    return place.kind == "s3" and "endpoint" not in place.options and named.startswith("http://")
