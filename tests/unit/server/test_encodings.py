import gzip
import tracemalloc
import zlib

import pytest

from fairway.server import encodings
from fairway.server.answers import Answer, Refusal

TEXT = b'{"inputs": []}' * 100


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT, mtime=0), b"gzip"),
        (gzip.compress(TEXT, mtime=0), b" X-GZIP "),
        (zlib.compress(TEXT), b"deflate"),
        (raw(TEXT), b"Deflate"),
    ],
)
def test_a_compressed_body_is_unpacked(body: bytes, encoding: bytes) -> None:
    assert not encodings.plain(encoding)
    assert encodings.unpacked(body, encoding, 10**6) == TEXT


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b"\0" * 10**7, mtime=0), 413),
        (gzip.compress(TEXT, mtime=0)[:-9], 400),
        (gzip.compress(TEXT, mtime=0) + gzip.compress(TEXT, mtime=0), 400),
        (gzip.compress(TEXT, mtime=0) + b"x", 400),
        (b"\x1f\x8b\x08\x00", 400),
        (b"", 400),
        (b"no gzip", 400),
    ],
)
def test_a_bomb_and_a_broken_body_are_refused_in_little_memory(body: bytes, status: int) -> None:
    tracemalloc.start()
    with pytest.raises(Refusal) as refused:
        encodings.unpacked(body, b"gzip", 2**26)
    assert refused.value.status == status
    assert tracemalloc.get_traced_memory()[1] < 6 * 2**20
    tracemalloc.stop()


def test_the_bound_of_a_body_holds_for_what_it_unpacks_to() -> None:
    with pytest.raises(Refusal) as refused:
        encodings.unpacked(gzip.compress(b"x" * 1001, mtime=0), b"gzip", 1000)
    assert refused.value.status == 413


@pytest.mark.parametrize("encoding", [b"br", b"gzip, gzip", b"zstd", b"compress"])
def test_other_encodings_are_refused_by_name(encoding: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        encodings.plain(encoding)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("accept", "asked"),
    [
        (b"gzip", b"gzip"),
        (b"Deflate", b"deflate"),
        (b"gzip, identity;q=0", b"gzip"),
        (b"gzip;q=0.5, deflate;q=0", b"gzip"),
        (b"gzip, deflate, br", b""),
        (b"identity", b""),
        (b"gzip;q=0", b""),
        (b"gzip; q=0.000", b""),
        (b"br", b""),
        (b"*", b""),
        (b"", b""),
    ],
)
def test_an_answer_is_packed_for_who_names_one_way_only(accept: bytes, asked: bytes) -> None:
    assert encodings.asked_for(accept) == asked


@pytest.mark.parametrize(("encoding", "unpack"), [(b"gzip", gzip.decompress), (b"deflate", zlib.decompress)])
def test_a_packed_answer_says_so_and_has_its_new_length(encoding: bytes, unpack: object) -> None:
    answer = encodings.packed(Answer(200, TEXT), encoding)
    headers = dict(answer.headers)
    assert headers[b"content-encoding"] == encoding
    assert headers[b"content-length"] == b"%d" % len(answer.body)
    assert unpack(answer.body) == TEXT  # type: ignore[operator]
