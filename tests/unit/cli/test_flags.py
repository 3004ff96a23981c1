"""From the words behind a file to texts by parameter."""

import pytest

from fairway.cli.flags import describe, read
from fairway.spec.errors import UsageError
from fairway.spec.project import Parameter, PipelineSpec

PIPELINE = PipelineSpec(
    name="main",
    parameters=(
        Parameter(name="count", kind="int", annotation="int", required=True),
        Parameter(name="deep_net", kind="bool", annotation="bool", default="False"),
        Parameter(
            name="sizes", kind="list", item="int", annotation="list[int]", default="1 2", help="of layers"
        ),
        Parameter(name="mode", kind="choice", choices=("on", "off"), annotation="Mode", default="on"),
    ),
)


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ([], {}),
        (["--count", "3"], {"count": ["3"]}),
        (["--count=3"], {"count": ["3"]}),
        (["--count", "-3"], {"count": ["-3"]}),
        (["--deep-net"], {"deep_net": ["true"]}),
        (["--deep_net"], {"deep_net": ["true"]}),
        (["--no-deep-net"], {"deep_net": ["false"]}),
        (["--deep-net=off"], {"deep_net": ["off"]}),
        (["--sizes", "1", "2", "--count", "3"], {"sizes": ["1", "2"], "count": ["3"]}),
        (["--sizes", "1", "--sizes", "2"], {"sizes": ["1", "2"]}),
        (["--mode=--odd"], {"mode": ["--odd"]}),
    ],
)
def test_words_become_texts_by_parameter(words: list[str], texts: dict[str, list[str]]) -> None:
    assert read(PIPELINE, words) == texts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["3"], "'3' belongs to no flag"),
        (["--count", "1", "2"], "'2' belongs to no flag"),
        (["--deep-net", "yes"], "'yes' belongs to no flag"),
        (["--wrong", "1"], "main has no flag --wrong"),
        (["--no-count"], "main has no flag --no-count"),
        (["--no-deep-net=true"], "main has no flag --no-deep-net"),
        (["--count"], "--count needs a value (int)"),
        (["--count", "--deep-net"], "--count needs a value (int)"),
        (["--count", "1", "--count", "2"], "--count is given twice"),
        (["--deep-net", "--no-deep-net"], "--no-deep-net is given twice, or with its opposite"),
    ],
)
def test_wrong_words_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        read(PIPELINE, words)
    assert said in error.value.message


def test_help_says_how_each_flag_is_written() -> None:
    assert describe(PIPELINE) == [
        ("--count int", "needed"),
        ("--deep-net / --no-deep-net", "[default: False]"),
        ("--sizes list[int]", "of layers [default: 1 2]"),
        ("--mode on|off", "[default: on]"),
    ]
