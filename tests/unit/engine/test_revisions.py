"""What the platform writes into a revision before a server gets it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fakes import FakeClock

from fairway.engine.revisions import Revisions
from fairway.server.sessions import offered
from fairway.spec.artifact import INLINE_LIMIT, Artifact
from fairway.spec.endpoint import DeployRequest, RevisionSpec
from fairway.spec.errors import NotFound
from fairway.spec.event import Event, RevisionCreated, StepEnded
from fairway.spec.layers import LayerList, LayerReference, StoredLayer
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.run import Phase
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata

SOURCE = Artifact(format="folder", digest="f" * 64, size=1, files=True)


class House:
    def __init__(self, root: Path) -> None:
        Layout(root).prepare()
        self.metadata = SqliteMetadata(Layout(root))
        self.artifacts = FileArtifacts(root)
        self.revisions = Revisions(self.metadata, self.artifacts, FakeClock())

    def register(self, number: int, *, made: bool, text: str = "") -> ModelVersion:
        artifact = Artifact(format="pickle", digest=f"{number:064}", size=1)
        run = f"r{number}"
        if made:
            self.metadata.append(
                [Event(body=StepEnded(Phase.SUCCEEDED, outputs=(artifact,)), run=run, step="train")]
            )
        candidate = Candidate(name="churn", artifact=artifact, description=text)
        return self.metadata.register(
            candidate, Lineage(run=run, step="register"), lambda rival: None, ("best",)
        )

    def function(self) -> RevisionSpec:
        request = DeployRequest(name="f", function="f", source=SOURCE, module="f.py")
        return self.revisions.planned(request)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "store")
    yield made
    made.metadata.close()


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize("made", [True, False])
def test_trust_is_what_the_log_says_whatever_the_revision_says(
    house: House, made: bool, claimed: bool
) -> None:
    version = house.register(1, made=made)
    revision = RevisionSpec(endpoint="churn", number=1, model=version, trusted=claimed)
    assert house.revisions.decided(revision).trusted is made


def test_a_run_that_makes_the_model_later_is_seen(house: House) -> None:
    version = house.register(1, made=False)
    revision = RevisionSpec(endpoint="churn", number=1, model=version)
    assert not house.revisions.decided(revision).trusted
    body = StepEnded(Phase.SUCCEEDED, outputs=(version.candidate.artifact,))
    house.metadata.append([Event(body=body, run="r1", step="train")])
    assert house.revisions.decided(revision).trusted


def test_a_function_is_offered_every_version_that_there_was(house: House) -> None:
    house.register(1, made=True)
    house.register(2, made=False)
    find = offered(house.revisions.decided(house.function()), house.artifacts.open)
    assert [
        (find(f"churn:{number}").version.version, find(f"churn:{number}").trusted) for number in (1, 2)
    ] == [
        (1, True),
        (2, False),
    ]
    assert find("churn").version.version == find("churn@best").version.version == 2


def test_what_an_earlier_revision_is_offered_does_not_grow(house: House) -> None:
    house.register(1, made=True)
    earlier = house.function()
    before = house.revisions.decided(earlier)
    house.register(2, made=True)
    forged = Artifact(format="json", digest="0" * 64, size=2, inline=b"[]")
    again = house.revisions.decided(msgspec.structs.replace(earlier, models=forged))
    assert again == before
    assert offered(again, house.artifacts.open)("churn").version.version == 1


def test_a_long_list_of_models_is_content_of_the_store(house: House) -> None:
    house.register(1, made=True, text="x" * INLINE_LIMIT)
    decided = house.revisions.decided(house.function())
    assert decided.models is not None
    assert decided.models.inline is None
    assert offered(decided, house.artifacts.open)("churn").trusted
    made = house.metadata.create_revision(decided)
    assert made.models is not None
    assert made.models.digest in set(house.metadata.digests())


def test_a_store_without_models_offers_none(house: House) -> None:
    assert house.revisions.decided(house.function()).models is None


def test_the_store_keeps_the_packages_of_a_revision_that_are_in_no_image(house: House) -> None:
    parts = tuple(house.artifacts.put_bytes(part) for part in (b"one", b"two"))
    layer = StoredLayer(digest="a" * 64, size=6, unpacked=10, parts=parts)
    listed = LayerList(python="3.11", layers=(layer,))
    digest = house.artifacts.put_bytes(listed.encode())
    other = house.artifacts.put_bytes(b"nobody needs this")
    request = DeployRequest(
        name="f", function="f", source=SOURCE, module="f.py", image=str(LayerReference(digest, 1000))
    )
    revision = house.revisions.planned(request)
    house.metadata.append([Event(body=RevisionCreated(revision=revision))])
    house.artifacts.sweep(house.metadata.digests(), older_than=-60, dry=False)
    assert [house.artifacts.exists(one) for one in (digest, *parts, other)] == [True, True, True, False]


def test_packages_that_the_store_lacks_are_not_deployed(house: House) -> None:
    layer = StoredLayer(digest="a" * 64, size=6, unpacked=10, parts=("b" * 64,))
    digest = house.artifacts.put_bytes(LayerList(python="3.11", layers=(layer,)).encode())
    image = str(LayerReference(digest, 1000))
    with pytest.raises(NotFound, match="lacks packages"):
        house.revisions.planned(
            DeployRequest(name="f", function="f", source=SOURCE, module="f.py", image=image)
        )
