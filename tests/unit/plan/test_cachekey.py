"""What a step's cache key is made of, and what is said about a difference."""

import pytest

from fairway.plan import cachekey
from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.run import StepSpec


def content(digest: str, form: str = "json") -> Artifact:
    return Artifact(format=form, digest=digest, size=1)


MADE: dict[str, Node] = {"prepare": content("aa"), "again": RefData("prepare")}


def resolve(ref: RefData) -> Node:
    return MADE[ref.step]


def spec(code: str = "c1", **inputs: Node) -> StepSpec:
    return StepSpec(name="train", task="train", inputs=inputs, code={"function train": code})


def key(step: StepSpec, environment: str = "env") -> str:
    return cachekey.key(step.task, cachekey.parts(step, environment, resolve))


def test_a_ref_counts_as_what_it_became() -> None:
    direct = key(spec(data=content("aa")))
    assert key(spec(data=RefData("prepare"))) == direct
    assert key(spec(data=RefData("again"))) == direct


@pytest.mark.parametrize(
    ("other", "environment"),
    [
        (spec("c2", data=content("aa")), "env"),
        (spec(data=content("bb")), "env"),
        (spec(data=content("aa", "npy")), "env"),
        (spec(rows=content("aa")), "env"),
        (spec(data=content("aa")), "other"),
        (spec(data=Group(container="list", items=(content("aa"),))), "env"),
    ],
)
def test_whatever_a_result_depends_on_changes_the_key(other: StepSpec, environment: str) -> None:
    assert key(other, environment) != key(spec(data=content("aa")))


def test_containers_differ_by_kind_and_by_order() -> None:
    one, two = content("aa"), content("bb")
    nodes = [
        Group(container="list", items=(one, two)),
        Group(container="list", items=(two, one)),
        Group(container="tuple", items=(one, two)),
        Group(container="dict", items=(two,), keys=(one,)),
        Group(container="list", items=(one, Group(container="list", items=(two,)))),
    ]
    assert len({cachekey.digest_of(node, resolve) for node in nodes}) == len(nodes)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {"input x": "1"}, "no earlier result"),
        ({"input x": "1"}, {"input x": "2"}, "input x changed"),
        ({"code constant RATE": "1"}, {"code constant RATE": "2"}, "constant RATE changed"),
        ({"environment": "1"}, {"environment": "2"}, "environment changed"),
        ({"input x": "1"}, {"input x": "1", "code helper h": "2"}, "helper h is new"),
        ({"input x": "1", "code helper h": "2"}, {"input x": "1"}, "helper h is gone"),
        ({"input x": "1"}, {"input x": "1"}, "its earlier result is gone"),
        (
            {f"input {name}": "1" for name in "abcdef"},
            {f"input {name}": "2" for name in "abcdef"},
            "input a changed, input b changed, input c changed, input d changed and 2 more",
        ),
    ],
)
def test_a_difference_is_said_in_words(before: dict[str, str], now: dict[str, str], said: str) -> None:
    assert cachekey.explain(before, now) == said


def test_a_step_of_a_new_label_says_so() -> None:
    assert cachekey.explain({}, {"input x": "1"}, "x=2") == "no earlier result with x=2"


def test_resolving_keeps_containers_and_replaces_refs() -> None:
    node = Group(container="dict", items=(RefData("prepare"),), keys=(content("kk"),))
    found = cachekey.resolved(node, resolve)
    assert found == Group(container="dict", items=(content("aa"),), keys=(content("kk"),))
