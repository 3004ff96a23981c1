"""The picture of a lineage."""

from xml.etree import ElementTree

from fairway.pages.lineage import boxes, draw
from fairway.spec.artifact import Artifact
from fairway.spec.model import Candidate, Lineage, ModelVersion


def version(lineage: Lineage, name: str = "churn") -> ModelVersion:
    artifact = Artifact(format="onnx", digest="0" * 64, size=2)
    return ModelVersion(
        name=name, version=3, candidate=Candidate(name=name, artifact=artifact), lineage=lineage
    )


def test_it_leads_from_data_and_code_to_the_endpoints() -> None:
    lineage = Lineage(
        run="k7m2",
        step="register",
        producer="train",
        code="c" * 64,
        environment="e" * 64,
        data={"table": "d" * 64},
    )
    columns = boxes(version(lineage), ["live"])
    assert [[box.kind for box in column] for column in columns] == [
        ["data", "code", "environment"],
        ["step"],
        ["model"],
        ["endpoint"],
    ]
    assert columns[1][0].link == "/runs/k7m2/steps/train"
    assert columns[3][0].link == "/endpoints/live"


def test_a_version_without_any_origin_is_drawn_too() -> None:
    svg = draw(version(Lineage(run="", step="")), [])
    assert "none serves it" in svg
    ElementTree.fromstring(svg)


def test_names_that_look_like_markup_stay_text() -> None:
    hostile = '"><script>alert(1)</script>'
    lineage = Lineage(run=hostile, step=hostile, data={hostile: "1" * 64})
    svg = draw(version(lineage, hostile), [hostile])
    ElementTree.fromstring(svg)
    assert "<script" not in svg


def test_many_inputs_are_counted_and_not_drawn() -> None:
    lineage = Lineage(run="k7m2", step="train", data={f"part{number}": "0" * 64 for number in range(500)})
    inputs = boxes(version(lineage), [])[0]
    assert len(inputs) == 8
    assert inputs[-1].name == "and 493 more"
