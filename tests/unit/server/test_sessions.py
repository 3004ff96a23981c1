"""What a deployed function gets when it asks for a model."""

import msgspec
import pytest

from fairway.server.sessions import ModelSession, offered
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Offer, RevisionSpec
from fairway.spec.errors import NotFound, SerializationError, UsageError
from fairway.spec.model import Candidate, Lineage, ModelVersion

JSON = b'{"a": 1}'


def offer(number: int, *, trusted: bool = False, form: str = "json") -> Offer:
    artifact = Artifact(format=form, digest=f"{number}", size=len(JSON), inline=JSON)
    version = ModelVersion(
        name="churn",
        version=number,
        candidate=Candidate(name="churn", artifact=artifact),
        lineage=Lineage(run="", step=""),
    )
    return Offer(version=version, trusted=trusted)


def read(artifact: Artifact) -> bytes:
    assert artifact.inline is not None
    return artifact.inline


def session(*offers: Offer, **aliases: int) -> ModelSession:
    data = msgspec.json.encode(offers)
    revision = RevisionSpec(
        endpoint="e",
        number=1,
        aliases={name.replace("_", "@"): number for name, number in aliases.items()},
        models=Artifact(format="json", digest="d", size=len(data), inline=data) if offers else None,
    )
    return ModelSession(offered(revision, read), read)


@pytest.mark.parametrize(
    ("reference", "number"), [("churn", 3), ("churn:1", 1), ("churn:003", 3), ("churn@best", 2)]
)
def test_a_reference_means_what_it_meant_when_the_function_was_deployed(reference: str, number: int) -> None:
    found = session(offer(1), offer(2), offer(3), churn=3, churn_best=2)
    assert found.model(reference)[0].version == number


@pytest.mark.parametrize(
    "reference", ["churn:4", "churn:0", "churn@other", "nobody", "nobody:1", "nobody@best"]
)
def test_what_there_was_not_is_said_to_have_been_missing_then(reference: str) -> None:
    with pytest.raises(NotFound, match="when this endpoint was deployed") as caught:
        session(offer(1), churn=1, churn_best=1).model(reference)
    assert "`fairway deploy`" in caught.value.hint
    with pytest.raises(NotFound):
        session().model(reference)


@pytest.mark.parametrize("reference", ["churn:", "churn@", "churn:x", "churn:" + "1" * 5000])
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(UsageError, match="does not name a version"):
        session(offer(1), churn=1).model(reference)


def test_a_model_is_loaded_once_and_content_that_can_run_code_only_when_it_is_trusted() -> None:
    found = session(offer(1), churn=1)
    load = found.model("churn")[1]
    assert callable(load)
    assert load() == {"a": 1}
    assert load() is load()
    refused = session(offer(1, form="pickle"), churn=1).model("churn")[1]
    assert callable(refused)
    with pytest.raises(SerializationError, match="not trusted"):
        refused()
