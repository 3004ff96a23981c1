"""Compression of bodies: requests are unpacked within bounds, and answers are packed if the client asks for it.

An Accept-Encoding with exactly one of gzip and deflate is a request for compression. A list of several only says what the
client can read. Then the answer stays plain, because packing costs more time than a local network.
"""

import zlib

from fairway.server.answers import CLOSE, Answer, Refusal

_RATIO = 128
_ALWAYS = 2**20
"""A body may unpack to this many bytes, or to `_RATIO` times its own size if that is more."""

_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_RAW = -15
_LEVEL = 1
_ACCEPTED = ((b"accept-encoding", b"gzip, deflate"), CLOSE)


def plain(encoding: bytes) -> bool:
    """Return true if a body with this Content-Encoding is not compressed. Raises Refusal 415 for an unknown encoding."""
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return True
    if name in _WINDOWS:
        return False
    raise Refusal(415, "a body may be compressed with gzip or deflate only", headers=_ACCEPTED)


def unpacked(body: bytes, encoding: bytes, most: int) -> bytes:
    """Unpack a compressed body. Raises Refusal 400 or 413."""
    bound = min(most, max(_ALWAYS, _RATIO * len(body)))
    windows = _WINDOWS[encoding.strip().lower()]
    if windows == 15 and not _has_head(body):
        windows = _RAW  # several clients leave out the header that the standard of deflate demands
    reader = zlib.decompressobj(windows)
    try:
        made = reader.decompress(body, bound + 1)
    except zlib.error as error:
        raise Refusal(400, f"the compressed body cannot be read: {error}") from None
    if len(made) > bound:
        raise Refusal(
            413,
            f"the body unpacks to more than {bound} bytes",
            hint=f"at most {most} bytes and {_RATIO} times its packed size; send it without Content-Encoding",
        )
    if not reader.eof or reader.unused_data:
        raise Refusal(400, "the compressed body is cut short, or more follows it")
    return made


def asked_for(accept: bytes) -> bytes:
    """Return the compression that an Accept-Encoding asks for; empty if it asks for none."""
    wanted: set[bytes] = set()
    for part in accept.lower().split(b","):
        name, _, rest = part.partition(b";")
        if rest.replace(b" ", b"").rstrip(b"0").rstrip(b".") not in (b"q=", b"q=0"):
            wanted.add(name.strip())
    wanted -= {b"identity", b""}
    only = next(iter(wanted)) if len(wanted) == 1 else b""
    return only if only in (b"gzip", b"deflate") else b""


def packed(answer: Answer, encoding: bytes) -> Answer:
    """Compress the body of an answer and return the answer."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[encoding])
    answer.body = packer.compress(answer.body) + packer.flush()
    length = (b"content-length", b"%d" % len(answer.body))
    answer.headers = [length if name == length[0] else (name, value) for name, value in answer.headers]
    answer.headers.append((b"content-encoding", encoding))
    return answer


def _has_head(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
