"""Parameters of a pipeline: what is taken for each type by flag, JSON and TOML, and what is refused with which words."""

import dataclasses
import datetime as dt
import enum
import json
import math
import typing
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import msgspec
import pytest

from fairway.author import parameters
from fairway.spec.errors import UsageError

T = TypeVar("T")


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Inner:
    learning_rate: float = 1.0
    steps: int = 3


@dataclasses.dataclass
class Data:
    inner: Inner = dataclasses.field(default_factory=Inner)
    price: Decimal = Decimal("1.10")
    day: dt.date | None = None


class Record(msgspec.Struct):
    inner: Inner
    wait: dt.timedelta = dt.timedelta(0)


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str = ""


class Cat(msgspec.Struct, tag="cat"):
    lives: int = 9


class Dog(msgspec.Struct, tag="dog"):
    tricks: int = 0


class Table(TypedDict):
    inner: Inner
    note: NotRequired[str]


class Loose(TypedDict, total=False):
    depth: int


class Pair(NamedTuple):
    left: int
    right: Inner = Inner()


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    others: list[T] = dataclasses.field(default_factory=list)


def bind(annotation: object, *texts: str, config: str = "") -> object:
    """What a pipeline with one parameter `cfg` of that type gets."""
    pipeline = taking(annotation)
    return parameters.bind(pipeline, {"cfg": list(texts)} if texts else {}, config)["cfg"]


def taking(annotation: object) -> Callable[..., object]:
    def pipeline(cfg: object) -> None: ...

    pipeline.__annotations__ = {"cfg": annotation}
    return pipeline


def refused(annotation: object, *texts: str, config: str = "") -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        bind(annotation, *texts, config=config)
    return caught.value.message, caught.value.hint


NESTED: list[tuple[object, str, str]] = [
    (Data, '{"inner": {"lerning_rate": 3}}', "cfg.inner.lerning_rate"),
    (Record, '{"inner": {"lerning_rate": 3}}', "cfg.inner.lerning_rate"),
    (Table, '{"inner": {"lerning_rate": 3}}', "cfg.inner.lerning_rate"),
    (Pair, '{"left": 1, "right": {"lerning_rate": 3}}', "cfg.right.lerning_rate"),
    (Pair, '[1, {"lerning_rate": 3}]', "cfg.right.lerning_rate"),
    (list[Inner], '[{}, {"lerning_rate": 3}]', "cfg[1].lerning_rate"),
    (tuple[int, Inner], '[1, {"lerning_rate": 3}]', "cfg[1].lerning_rate"),
    (dict[str, Inner], '{"a": {"lerning_rate": 3}}', "cfg.a.lerning_rate"),
    (dict[str, list[Data]], '{"a": [{"inner": {"lerning_rate": 3}}]}', "cfg.a[0].inner.lerning_rate"),
    (Box[Inner], '{"content": {"lerning_rate": 3}}', "cfg.content.lerning_rate"),
    (Box[Inner], '{"content": {}, "others": [{"lerning_rate": 3}]}', "cfg.others[0].lerning_rate"),
    (Data | None, '{"inner": {"lerning_rate": 3}}', "cfg.inner.lerning_rate"),
    (Data | int, '{"inner": {"lerning_rate": 3}}', "cfg.inner.lerning_rate"),
    (Annotated[Data, "told"], '{"inner": {"lerning_rate": 3}}', "cfg.inner.lerning_rate"),
]


@pytest.mark.parametrize(("kind", "text", "path"), NESTED)
@pytest.mark.parametrize("way", ["flag", "config"])
def test_an_unknown_field_is_refused_at_any_depth_with_its_path_and_the_near_name(
    tmp_path: Path, kind: object, text: str, path: str, way: str
) -> None:
    (tmp_path / "all.json").write_text(f'{{"cfg": {text}}}')
    given = [text] if way == "flag" else []
    message, hint = refused(kind, *given, config="" if given else str(tmp_path / "all.json"))
    assert f"unknown entry {path}: Inner has no 'lerning_rate'" in message
    assert "did you mean `learning_rate`?" in hint


def test_an_unknown_field_in_toml_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text("[cfg.inner]\nlerning_rate = 3\n")
    message, _ = refused(Data, config=str(tmp_path / "all.toml"))
    assert "cfg.inner.lerning_rate" in message


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Loose, '{"dept": 3}', "which has no 'dept'"),
        (Renamed, '{"first_name": "x"}', "which has no 'first_name'"),
        (Table, '{"note": "x"}', "which needs 'inner'"),
        (Record, "{}", "which needs 'inner'"),
        (Data, '{"inner": {"steps": "many"}}', "a value of type int at cfg.inner.steps, not 'many'"),
        (list[Inner], '[{"steps": 1.5}]', "a value of type int at cfg[0].steps, not 1.5"),
        (dict[int, int], '{"one": 1}', "a value of type int at cfg.one, not 'one'"),
        (Data, '{"inner": {"steps": 1, "steps": 2}}', "as JSON"),
        (tuple[int, str], '[1, "a", 2]', "of 2 items"),
        (Cat | Dog, '{"type": "cow"}', "cfg.type"),
        (int | dt.date, "soon", "int | datetime.date"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(kind: object, text: str, said: str) -> None:
    assert said in refused(kind, text)[0]


def test_records_of_every_kind_are_built(tmp_path: Path) -> None:
    assert bind(Table, '{"inner": {"steps": 5}, "note": "n"}') == {"inner": Inner(steps=5), "note": "n"}
    assert bind(Loose, "{}") == {}
    assert bind(Pair, '{"left": 1}') == Pair(1) == bind(Pair, "[1]")
    assert bind(Renamed, '{"firstName": "a"}') == Renamed("a")
    assert bind(Cat | Dog, '{"type": "dog", "tricks": 2}') == Dog(2)
    assert bind(Box[dt.date], '{"content": "2024-01-31", "others": ["2024-02-01"]}') == Box(
        dt.date(2024, 1, 31), [dt.date(2024, 2, 1)]
    )
    assert bind(Record, '{"inner": {}, "wait": "90s"}') == Record(Inner(), dt.timedelta(seconds=90))
    (tmp_path / "table.toml").write_text('note = "n"\n[inner]\nsteps = 5\n')
    assert bind(Table, str(tmp_path / "table.toml")) == {"inner": Inner(steps=5), "note": "n"}


DIGITS = "0.12345678901234567890123456789"


@pytest.mark.parametrize("digits", [DIGITS, "1.10", "1e-30", "100", "-0.0", "12345678901234567890.5"])
def test_a_decimal_is_what_was_written(tmp_path: Path, digits: str) -> None:
    wanted = str(Decimal(digits))
    assert str(bind(Decimal, digits)) == wanted
    assert str(bind(Decimal | None, digits)) == wanted
    assert [str(one) for one in typing.cast("list[object]", bind(list[Decimal], digits, digits))] == [
        wanted
    ] * 2
    assert str(typing.cast("Data", bind(Data, f'{{"price": {digits}}}')).price) == wanted
    assert str(typing.cast("Data", bind(Data, f'{{"price": "{digits}"}}')).price) == wanted
    (tmp_path / "all.json").write_text(f'{{"cfg": {digits}}}')
    (tmp_path / "all.toml").write_text(f"cfg = {digits}\n")
    assert str(bind(Decimal, config=str(tmp_path / "all.json"))) == wanted
    assert str(bind(Decimal, config=str(tmp_path / "all.toml"))) == wanted


def test_whole_numbers_of_any_size_are_exact(tmp_path: Path) -> None:
    big = 2**200 + 1
    (tmp_path / "all.json").write_text(f'{{"cfg": {big}}}')
    assert bind(int, str(big)) == big == bind(int, config=str(tmp_path / "all.json"))
    assert bind(dict[str, int], f'{{"a": {big}}}') == {"a": big}
    assert bind(int | str, str(big)) == big


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity"])
def test_infinities_are_floats(text: str) -> None:
    assert math.isinf(typing.cast("float", bind(float, text)))
    assert math.isinf(typing.cast("list[float]", bind(list[float], f'["{text}"]'))[0])


def test_floats_that_no_type_asks_for_are_ordinary() -> None:
    for kind in (dict, dict[str, object], typing.Any):
        found = bind(kind, '{"a": [1.5, {"b": 2.5}]}') if kind is not typing.Any else bind(list, "[1.5]")
        assert "Written" not in repr(type(found))
    assert type(typing.cast("dict[str, list[object]]", bind(dict, '{"a": [1.5]}'))["a"][0]) is float
    assert type(bind(float, "1.5")) is float
    assert type(typing.cast("Inner", bind(Inner, '{"learning_rate": 1.5}')).learning_rate) is float


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (dt.date, "2024-01-31", dt.date(2024, 1, 31)),
        (dt.datetime, "2024-01-31", dt.datetime(2024, 1, 31)),
        (dt.datetime, "2024-01-31 12:00", dt.datetime(2024, 1, 31, 12)),
        (dt.datetime, "2024-01-31T12:00:05", dt.datetime(2024, 1, 31, 12, 0, 5)),
        (dt.datetime, "2024-01-31T12:00Z", dt.datetime(2024, 1, 31, 12, tzinfo=dt.UTC)),
        (dt.time, "12:30", dt.time(12, 30)),
        (dt.time, "12:30:05", dt.time(12, 30, 5)),
        (dt.timedelta, "90s", dt.timedelta(seconds=90)),
        (dt.timedelta, "90", dt.timedelta(seconds=90)),
        (dt.timedelta, "1h30m", dt.timedelta(minutes=90)),
        (dt.timedelta, "1 day", dt.timedelta(days=1)),
        (dt.timedelta, "2 days 3 hours", dt.timedelta(days=2, hours=3)),
        (dt.timedelta, "1:30:00", dt.timedelta(minutes=90)),
        (dt.timedelta, "1 day, 1:30:00", dt.timedelta(days=1, minutes=90)),
        (dt.timedelta, "PT1H30M", dt.timedelta(minutes=90)),
        (dt.timedelta, "P1DT1H", dt.timedelta(days=1, hours=1)),
        (dt.timedelta, "-90s", dt.timedelta(seconds=-90)),
        (dt.timedelta, "250ms", dt.timedelta(milliseconds=250)),
        (dt.timedelta, "1.5h", dt.timedelta(minutes=90)),
    ],
)
def test_dates_times_and_durations_are_read_as_people_write_them(
    tmp_path: Path, kind: type, text: str, value: object
) -> None:
    (tmp_path / "all.json").write_text(json.dumps({"cfg": text}))
    assert bind(kind, text) == value
    assert bind(kind | None, text) == value
    assert bind(list[kind], text, text) == [value, value]
    if text != "90":
        assert bind(kind, config=str(tmp_path / "all.json")) == value


def test_moments_of_toml_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text("cfg = [2024-01-31T12:00:00, 2024-01-31T13:00:00]\n")
    found = bind(list[dt.datetime], config=str(tmp_path / "all.toml"))
    assert found == [dt.datetime(2024, 1, 31, 12), dt.datetime(2024, 1, 31, 13)]


@pytest.mark.parametrize(
    ("kind", "text", "form"),
    [
        (dt.date, "31.01.2024", "2024-01-31"),
        (dt.date, "2024-02-30", "2024-01-31"),
        (dt.time, "noon", "12:30"),
        (dt.datetime, "2024-01-31 25:00", "2024-01-31 12:00"),
        (dt.timedelta, "a while", "1h30m"),
        (dt.timedelta, "P", "PT1H30M"),
        (dt.timedelta, "99999999999999 days", "1h30m"),
        (bytes, "not base64!", "base64"),
    ],
)
def test_an_error_names_the_forms_that_are_taken(kind: type, text: str, form: str) -> None:
    message, hint = refused(kind, text)
    assert f"--cfg takes a value of type {kind.__name__}, not {text!r}" in message
    assert form in hint


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Color, "RED", Color.RED),
        (Color, "r", Color.RED),
        (Level, "HIGH", Level.HIGH),
        (Level, "2", Level.HIGH),
        (Literal[1, "a"], "1", 1),
        (Literal["none", "all"] | None, "all", "all"),
        (Path, "a/b", Path("a/b")),
        (
            uuid.UUID,
            "12345678-1234-5678-1234-567812345678",
            uuid.UUID(int=0x12345678123456781234567812345678),
        ),
        (bytes, "aGk=", b"hi"),
        (bool | str, "yes", True),
        (int | str, "7", 7),
        (int | str, "seven", "seven"),
        (float | int, "7", 7),
        (Path | None, "none", None),
        (set[int], "[1, 2, 2]", {1, 2}),
        (frozenset[str], "a", frozenset({"a"})),
        (tuple[int, ...], "[1, 2]", (1, 2)),
        (dict[int, dt.date], '{"1": "2024-01-31"}', {1: dt.date(2024, 1, 31)}),
        (list[list[int]], "[[1], [2]]", [[1], [2]]),
        (Annotated[int, msgspec.Meta(ge=1)], "1", 1),
    ],
)
def test_every_type_takes_its_text(kind: object, text: str, value: object) -> None:
    found = bind(kind, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Annotated[int, msgspec.Meta(ge=1)], "0", "at least 1"),
        (Annotated[float, msgspec.Meta(lt=1)] | None, "1", "less than 1"),
        (Annotated[str, msgspec.Meta(max_length=2)], "abc", "of a length of at most 2"),
        (Annotated[str, msgspec.Meta(pattern="^a")], "b", "matches '^a'"),
        (list[Annotated[int, msgspec.Meta(ge=1)]], "[1, 0]", "at cfg[1] at least 1"),
        (Annotated[list[int], msgspec.Meta(min_length=2)], "[1]", "of a length of at least 2"),
        (dict[str, Annotated[int, msgspec.Meta(ge=1)]], '{"a": 0}', "at cfg.a at least 1"),
    ],
)
def test_limits_hold_at_every_level(kind: object, text: str, said: str) -> None:
    assert said in refused(kind, text)[0]


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (dict[str, Decimal], {"a": "1.10"}, {"a": Decimal("1.10")}),
        (Data, {"inner": {"steps": 2}}, Data(Inner(steps=2))),
        (Data, Data(), Data()),
        (list[Inner], [Inner()], [Inner()]),
        (float, 3, 3.0),
        (Path, "a", Path("a")),
        (object, {1, 2}, {1, 2}),
        (Color, Color.RED, Color.RED),
        (tuple[int, int], (1, 2), (1, 2)),
    ],
)
def test_values_of_python_code_go_through_the_same_checks(kind: object, value: object, found: object) -> None:
    assert parameters.check(taking(kind), {"cfg": value}) == {"cfg": found}


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Data, {"inner": {"lerning_rate": 2}}, "cfg has an unknown entry cfg.inner.lerning_rate"),
        (int, "3", "cfg takes a value of type int, not '3'"),
        (Literal["a"], "b", "not 'b'"),
        (list[int], [1, "x"], "at cfg[1], not 'x'"),
    ],
)
def test_wrong_values_of_python_code_are_refused(kind: object, value: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parameters.check(taking(kind), {"cfg": value})
    assert said in caught.value.message


def test_values_whose_type_nobody_here_knows_are_left_alone() -> None:
    class Strange: ...

    value = Strange()
    assert parameters.check(taking(Strange), {"cfg": value}) == {"cfg": value}
    assert parameters.check(taking(Strange), {"cfg": [1, 2]}) == {"cfg": [1, 2]}


def test_a_default_is_shown_as_it_can_be_typed() -> None:
    def pipeline(
        wait: dt.timedelta = dt.timedelta(hours=1),
        at: dt.datetime = dt.datetime(2024, 1, 31, 12),
        price: Decimal = Decimal("1.10"),
        mark: bytes = b"hi",
        table: dict[str, int] = {"a": 1},  # noqa: B006
    ) -> None: ...

    described = parameters.describe(pipeline)
    for one in described:
        default = pipeline.__defaults__[[other.name for other in described].index(one.name)]  # type: ignore[index]
        assert parameters.bind(pipeline, {one.name: [one.default]})[one.name] == default
