"""Conditions on runs: what they mean, and what is refused."""

import msgspec
import pytest

from fairway.plan.conditions import parse
from fairway.spec.errors import UsageError
from fairway.spec.history import Facts, RunRecord
from fairway.spec.run import Phase

RUN = RunRecord(
    name="k7m2",
    pipeline="churn",
    phase=Phase.SUCCEEDED,
    started=1.0,
    ended=3.0,
    facts=msgspec.Raw(
        msgspec.json.encode(
            Facts(
                {"depth": 3, "kind": "deep", "fast": True, "steps": 100, "and more": 1, "accuracy": 0.1},
                {"accuracy": 0.93, "val.loss": 0.5, "broken": None},
            )
        )
    ),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("accuracy > 0.9", True),
        ("accuracy>0.93", False),
        ("accuracy >= 0.93 and depth < 3", False),
        ("accuracy < 0.5 or depth = 3", True),
        ("accuracy < 0.5 or depth == 3 and fast == false", False),
        ("(accuracy < 0.5 or depth == 3) and fast == true", True),
        ("not depth < 3", True),
        ("0.9 < accuracy <= 0.93", True),
        ("0.9 < accuracy < 0.93", False),
        ("depth in (2, 3)", True),
        ("depth not in (2, 3)", False),
        ("kind in ('deep', 'wide')", True),
        ('kind == "deep"', True),
        ("kind != 'deep'", False),
        ("kind > 3", False),
        ("accuracy > -1e3", True),
        ("parameter.accuracy < 0.2", True),
        ("metrics.accuracy < 0.2", False),
        ("val.loss == .5", True),
        ("`and more` == 1", True),
        ("broken == none", True),
        ("broken < 1", False),
        ("unknown > 1", False),
        ("unknown != 1", False),
        ("unknown not in (1)", False),
        ("not unknown > 1", True),
        ("took == 2 and phase == 'succeeded' and pipeline == 'churn'", True),
        ("steps == 100", True),
        ("NOT accuracy > 1 AND depth IN (3)", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, holds: bool) -> None:
    assert parse(text).holds(RUN) is holds


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "accuracy", "accuracy >", "> 0.9", "(a > 1", "a > 1)", "a > 1 b > 2", "a > 1 and", "a ; b", "a > 1 +",
        "__import__('os').system('x')", "a in ()", "a in (b)", "a in 3", "a not 3", "a > 0x10", "a > 1.2.3", "'open > 1",
        "[1 for x in a]", "a.__class__()", "lambda: 1", "a == (1)", "f'{a}' > 1", "a > 1 # b", "1", "'x'", "a " * 1500,
        "(" * 200 + "a > 1" + ")" * 200, "not " * 400 + "a > 1",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_the_refusal_names_the_place() -> None:
    with pytest.raises(UsageError, match=r"has 'b' at character 7 where"):
        parse("a > 1 b > 2")


def test_the_names_of_a_condition_are_known() -> None:
    assert parse("accuracy > 0.9 and parameter.depth < took").names == {"accuracy", "depth"}
