"""Layers in the store of a target: sent in parts, once, and the list last."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from fairway.cluster.images import storing
from fairway.cluster.images.layers import Entry, Layer, write_layer
from fairway.cluster.images.storing import store_layers
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import FairwayError
from fairway.spec.layers import LayerList

from .conftest import soon


class Kept:
    """A store in memory."""

    def __init__(self, most: int = 1000) -> None:
        self.content: dict[str, bytes] = {}
        self.order: list[str] = []
        self.most = most

    async def missing(self, digests: list[str]) -> list[str]:
        return [digest for digest in digests if digest not in self.content]

    async def put(self, digest: str, content: bytes) -> None:
        if len(self.order) >= self.most:
            raise FairwayError("the store is full")
        assert hashlib.sha256(content).hexdigest() == digest
        self.content[digest] = content
        self.order.append(digest)


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """A layer of several parts."""
    monkeypatch.setattr(storing, "_PART", 100)
    entries = [Entry("opt/fairway/env/one.py", bytes(range(256)) * 4)]
    return write_layer(entries, "1 package", tmp_path, shared=["opt"])


def test_a_layer_is_sent_in_parts_and_the_list_comes_last(layer: Layer, workshop: Workshop) -> None:
    store = Kept()
    reference = soon(store_layers([layer], "3.11", store, workshop))
    assert store.order[-1] == reference.digest
    (listed,) = msgspec.json.decode(store.content[reference.digest], type=LayerList).layers
    assert len(listed.parts) > 1
    whole = b"".join(store.content[part] for part in listed.parts)
    assert whole == Path(layer.file).read_bytes()
    assert hashlib.sha256(whole).hexdigest() == listed.digest == layer.digest.removeprefix("sha256:")


def test_what_the_store_has_is_not_sent_again(layer: Layer, workshop: Workshop) -> None:
    store = Kept()
    first = soon(store_layers([layer], "3.11", store, workshop))
    sent = len(store.order)
    assert soon(store_layers([layer], "3.11", store, workshop)) == first
    assert len(store.order) == sent


def test_a_store_that_refuses_a_part_gets_no_list(layer: Layer, workshop: Workshop) -> None:
    store = Kept(most=1)
    with pytest.raises(FairwayError, match="the store is full"):
        soon(store_layers([layer], "3.11", store, workshop))
    assert len(store.order) == 1
