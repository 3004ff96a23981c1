"""From a store's place to the store."""

from pathlib import Path

import pytest

from fairway.spec.errors import StorageError
from fairway.spec.host import StorePlace
from fairway.stores import FileArtifacts
from fairway.stores.opening import open_store


def test_a_folder_of_this_machine_is_opened(tmp_path: Path) -> None:
    digest = FileArtifacts(tmp_path / "store").put_bytes(b"content")
    assert open_store(StorePlace(str(tmp_path / "store"))).artifacts.exists(digest)


def test_opening_makes_nothing(tmp_path: Path) -> None:
    store = open_store(StorePlace(str(tmp_path / "store")))
    store.before_fork("r1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["", "store", "https://fairway.example/store", "s3://bucket/store"])
def test_a_place_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="no place of a store"):
        open_store(StorePlace(address))
