import dataclasses
import datetime as dt
import enum
import hashlib
import math
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.formats import decode, encode
from fairway.formats.plain import summary
from fairway.spec.artifact import Artifact
from fairway.spec.errors import SerializationError
from fairway.spec.model import Candidate, Lineage, ModelVersion


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796
    BLUE = (1, 2)


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.x = self.x * 2


@dataclasses.dataclass(frozen=True, slots=True)
class Slim:
    name: str
    point: Point


class Pair(NamedTuple):
    left: int
    right: object


class Config(msgspec.Struct, frozen=True):
    rate: float
    tags: frozenset[str] = frozenset()


class Odd(list[int]):
    pass


def same(one: Any, other: Any) -> bool:
    """Equal in value and in type, all the way down; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(*keys) and same(*values)
            for keys, values in zip(
                zip(one, other, strict=True), zip(one.values(), other.values(), strict=True), strict=True
            )
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return one == other


def again(value: object) -> Any:
    encoded = encode(value, allow_pickle=False)
    assert encoded.format == "json"
    assert encoded.data is not None
    return decode("json", encoded.data, encoded.kind, allow_pickle=False)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.just(ZoneInfo("Europe/Berlin")))
    | st.complex_numbers(allow_nan=False)
)
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_every_plain_value_comes_back_exactly(value: object) -> None:
    assert same(again(value), value)


@given(VALUES)
def test_equal_values_have_equal_bytes(value: object) -> None:
    assert encode(value).data == encode(again(value)).data


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63),
        2**63,
        [10**5000],
        -0.0,
        math.inf,
        -math.inf,
        1e16,
        1e22,
        5e-324,
        1.0,
        {"$tuple": [1]},
        {"a": {"$x": 1}, "$y": 2},
        {1: "int", "1": "text", 1.5: None, True and "t": 0},
        {(1, 2): {3}},
        "lone \ud800 surrogate",
        {"\udcff": ["\ud800", "plain"]},
        Path("data/x.csv"),
        PurePosixPath("/a"),
        Path("b\udcff"),
        bytearray(b"x"),
        range(1, 10, 3),
        OrderedDict([("b", 1), ("a", 2)]),
        Counter("hello"),
        Colour.BLUE,
        Colour.CRIMSON,
        Right.READ | Right.WRITE,
        Slim("a", Point(1.5, (1, 2))),
        Pair(1, [2]),
        Config(0.5, frozenset({"b", "a"})),
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
        uuid.UUID(int=7),
        Decimal("1.10"),
        [],
        (),
        {},
        set(),
        [[[]], {}],
    ],
)
def test_special_values(value: object) -> None:
    assert same(again(value), value)


@pytest.mark.parametrize("name", ["IST", "\udcff"])
def test_a_fixed_zone_keeps_its_name(name: str) -> None:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30), name)
    result: Any = again(dt.datetime(2024, 1, 1, tzinfo=zone))
    assert result.tzname() == name
    assert result.utcoffset() == zone.utcoffset(None)
    assert again(dt.time(1, 2, tzinfo=zone)).tzname() == name  # pyright: ignore


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1),
        np.float64("nan"),
        np.int8(-3),
        np.uint64(2**64 - 1),
        np.bool_(True),
        np.complex64(1 + 2j),
        np.str_("x"),
        np.bytes_(b"x"),
        np.datetime64("2024-01-01T00:00:00", "ns"),
        np.timedelta64(5, "D"),
        np.longdouble("0.1"),
        np.float16(1.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numpy_scalars_keep_their_type(value: Any) -> None:
    result = again([value])[0]
    assert type(result) is type(value)
    assert result.dtype == value.dtype
    assert result.tobytes() == value.tobytes()


def test_an_array_of_objects_with_plain_cells_needs_no_pickle() -> None:
    array = np.array([["a", None], [1.5, (2,)]], dtype=object)
    result = again(array)
    assert result.shape == (2, 2)
    assert result.tolist() == array.tolist()


def test_a_dataclass_is_rebuilt_without_running_its_code() -> None:
    assert again(Point(3)).x == 6


def test_fairways_own_records() -> None:
    artifact = Artifact(format="json", digest="0" * 64, size=1, inline=b"1")
    version = ModelVersion(
        name="churn",
        version=1,
        candidate=Candidate(name="churn", artifact=artifact),
        lineage=Lineage(run="r", step="s"),
    )
    assert again(version) == version


def test_the_order_of_a_dict_is_kept_and_that_of_a_set_is_not() -> None:
    assert list(again({"b": 1, "a": 2})) == ["b", "a"]
    code = "from fairway.formats import encode; print(encode({'x', 'y', 'z', 1, (2, 3)}).data)"
    out = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(out) == 1


def test_the_bytes_of_a_value_do_not_change() -> None:
    value = {"a": (1, 2.5, None), "when": dt.date(2024, 1, 2), 3: {1, 2}, "p": Pair(1, b"x")}
    data = encode(value).data
    assert data is not None
    assert hashlib.sha256(data.replace(__name__.encode(), b"M")).hexdigest() == (
        "c0c8665afdd6402ff69d0f7b726bf08fa6efac54423dc03f8ec7120bdcf51bd2"
    )


def test_json_is_readable_where_json_can_hold_the_value() -> None:
    assert encode({"a": [1, 2.0, None, True, "ü"]}).data == '{"a":[1,2.0,null,true,"ü"]}'.encode()


def test_a_class_that_is_gone_is_named() -> None:
    data = encode(Slim("a", Point(1.0))).data
    assert data is not None
    with pytest.raises(SerializationError, match="class Gone, which module"):
        decode("json", data.replace(b"Slim", b"Gone"))
    with pytest.raises(
        SerializationError, match="class Point has changed since a value of it was stored: y, z"
    ):
        decode("json", data.replace(b'"y"', b'"z"'))
    with pytest.raises(SerializationError, match="cannot be imported") as error:
        decode("json", b'{"$record":"no_such_module_x:A","fields":{}}')
    assert "run the step" in error.value.hint


def test_foreign_content_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "evil_module_x.py").write_text(f"open({str(marker)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    data = b'{"$record":"evil_module_x:A","fields":{}}'
    with pytest.raises(SerializationError):
        decode("json", data, allow_pickle=False)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["os:system", "builtins:eval", "subprocess:Popen", "pathlib:Path", "fairway.formats:encode"]
)
@pytest.mark.parametrize(
    "form",
    [
        '{"$record":"NAME","fields":{"args":"x"}}',
        '{"$enum":"NAME","name":"x"}',
        '{"$namedtuple":"NAME","items":[]}',
    ],
)
def test_only_records_enums_and_named_tuples_are_rebuilt(name: str, form: str) -> None:
    with pytest.raises(SerializationError):
        decode("json", form.replace("NAME", name).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"$nothing":1}', b'{"$bytes":3}', b'{"$datetime":"x"}', b'{"$leaf":"npy"}', b"\xff"]
)
def test_damaged_content_is_an_error_with_a_reason(data: bytes) -> None:
    with pytest.raises(SerializationError):
        decode("json", data)


def test_what_is_not_plain_is_pickled_as_a_whole() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    for value in (Odd([1]), cycle, [lambda: 1], {"a": Odd()}, dt.datetime(2024, 1, 1, tzinfo=_Zone())):
        assert encode(value).format == "pickle"


class _Zone(dt.tzinfo):
    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)


def test_a_record_with_more_than_its_fields_is_not_cut_short() -> None:
    point = Point(1.0)
    vars(point)["extra"] = 1
    assert encode(point).format == "pickle"


def test_the_note_is_short() -> None:
    assert summary("x" * 1000) == f"'{'x' * 50}'…"
    assert summary(list(range(100))) == "100 items"
    assert encode(0.912).note == "0.912"
    assert encode(0.912).kind == "float"
