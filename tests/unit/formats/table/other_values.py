"""Values of numpy, scipy, polars and pyarrow, one of every kind, by the format that holds them."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import scipy.sparse as sparse

Values = dict[str, Callable[[], Any]]

_CODES = "?bBhHiIlLqQefdgFDG"
_STRUCT = np.dtype([("a", "i4"), ("b", "f8", (2,)), ("c", "S3"), ("d", [("e", "M8[D]"), ("f", "?")])])

NPY: Values = {
    **{f"numpy {code}": lambda code=code: np.array([0, 1, 2], dtype=code) for code in _CODES},
    **{f"numpy {code}, 0-d": lambda code=code: np.array(1, dtype=code) for code in _CODES},
    **{
        f"numpy M8[{u}]": lambda u=u: np.array([0, "NaT", 5], f"M8[{u}]")
        for u in ("Y", "M", "W", "D", "h", "25s", "ns", "as")
    },
    **{f"numpy m8[{u}]": lambda u=u: np.array([0, "NaT", 5], f"m8[{u}]") for u in ("Y", "M", "D", "7us")},
    "numpy m8": lambda: np.array([1, 2], "m8"),
    "numpy big-endian": lambda: np.arange(3, dtype=">f8"),
    "numpy big-endian times": lambda: np.arange(3).astype(">M8[s]"),
    "numpy text": lambda: np.array(["a", "bc", "\udcff", "a\0b"]),
    "numpy big-endian text": lambda: np.array(["a", "bc"], dtype=">U5"),
    "numpy bytes": lambda: np.array([b"a", b"", b"a\0b"]),
    "numpy no text": lambda: np.array(["", ""], dtype="U0"),
    "numpy void": lambda: np.array([b"abc", b"\0\0\1"], dtype="V3"),
    "numpy nan": lambda: np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype="u8").view("f8"),
    "numpy structured": lambda: np.zeros(3, dtype=_STRUCT),
    "numpy structured, 0-d": lambda: np.zeros((), dtype=_STRUCT),
    "numpy structured with gaps": lambda: np.ones(
        2, dtype={"names": ["a", "b"], "formats": ["i2", "i4"], "offsets": [2, 8], "itemsize": 16}
    ),
    "numpy titles": lambda: np.zeros(2, dtype=[(("title", "a"), "i4")]),
    "numpy Fortran": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "numpy Fortran, 3-d": lambda: np.asfortranarray(np.arange(24, dtype="i2").reshape(2, 3, 4)),
    "numpy Fortran, large": lambda: np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
    "numpy no rows": lambda: np.zeros((0, 3)),
    "numpy no columns": lambda: np.zeros((3, 0), dtype="i2"),
    "numpy strided": lambda: np.arange(12).reshape(3, 4)[:, ::2],
    "numpy reversed": lambda: np.arange(5)[::-1],
    "numpy read-only": lambda: _read_only(np.arange(3)),
    "numpy broadcast": lambda: np.broadcast_to(np.arange(3), (2, 3)),
    "numpy large": lambda: np.arange(20_000, dtype="i8"),
    "numpy large text": lambda: np.array(["abc"] * 20_000),
    "numpy large structured": lambda: np.zeros(5_000, dtype=_STRUCT),
}

_SCALARS: Values = {
    **{f"scalar {code}": lambda code=code: np.dtype(code).type(1) for code in _CODES},
    "scalar nan": lambda: np.float64("nan"),
    "scalar -0": lambda: np.float32(-0.0),
    "scalar complex nan": lambda: np.complex128(complex("nan+infj")),
    "scalar M8": lambda: np.datetime64("2024-01-01T00", "25s"),
    "scalar M8 NaT": lambda: np.datetime64("NaT", "D"),
    "scalar M8 of no unit": lambda: np.datetime64("NaT"),
    "scalar m8": lambda: np.timedelta64(5, "M"),
    "scalar m8 of no unit": lambda: np.timedelta64(5),
    "scalar text": lambda: np.str_("ü"),
    "scalar text, surrogate": lambda: np.str_("\udcff"),
    "scalar bytes": lambda: np.bytes_(b"a"),
    "scalar void": lambda: np.void(b"abc"),
}
_OBJECTS: Values = {
    "objects": lambda: np.array([1, "x", None, 2.5, dt.date(2024, 1, 1), Decimal("1.10")], dtype=object),
    "objects, 2-d": lambda: np.array([[1, "x"], [None, [2]]], dtype=object),
    "objects, 0-d": lambda: np.array({"a": 1}, dtype=object),
    "no objects": lambda: np.empty((2, 0), dtype=object),
}
JSON: Values = {
    **{f"numpy {name}": make for name, make in (_SCALARS | _OBJECTS).items()},
    "numpy in containers": lambda: {"a": [make() for make in _SCALARS.values()], "b": _OBJECTS["objects"]()},
}

_FORMS = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")


def _read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def _dense(dtype: Any = "f8") -> Any:
    return np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 4, 0]]).astype(dtype)


def _coo_with_duplicates(cls: Any) -> Any:
    return cls((np.array([1.0, 2.0, 0.0]), (np.array([1, 1, 0]), np.array([2, 2, 0]))), shape=(3, 4))


def _unsorted(cls: Any) -> Any:
    return cls((np.array([1.0, 2.0]), np.array([2, 0]), np.array([0, 2, 2])), shape=(2, 3))


def _wide_indices(cls: Any) -> Any:
    value = cls(_dense())
    value.indices, value.indptr = value.indices.astype("i8"), value.indptr.astype("i8")
    return value


def _with_zero(value: Any) -> Any:
    value[0, 1] = 5.0
    value.data[0] = 0.0
    return value


SPARSE: Values = {
    f"scipy {form}_{ending}{name}": make
    for form in _FORMS
    for ending in ("matrix", "array")
    for cls in (getattr(sparse, f"{form}_{ending}"),)
    for name, make in {
        "": lambda cls=cls: cls(_dense()),
        " of bool": lambda cls=cls: cls(_dense(bool)),
        " of float32": lambda cls=cls: cls(_dense("f4")),
        " of int8": lambda cls=cls: cls(_dense("i1")),
        " of complex": lambda cls=cls: cls(_dense("c8")),
        ", nothing stored": lambda cls=cls: cls((3, 2)),
        ", no rows": lambda cls=cls: cls((0, 2)),
        ", large": lambda cls=cls: cls(sparse.diags_array(np.arange(1.0, 3_000))),
    }.items()
    if (form, name) != ("bsr", ", no rows")
} | {
    "scipy csr, sorted and said so": lambda: _sorted(sparse.csr_array(_dense())),
    "scipy csr, unsorted": lambda: _unsorted(sparse.csr_array),
    "scipy csr matrix, unsorted": lambda: _unsorted(sparse.csr_matrix),
    "scipy csr, wide indices": lambda: _wide_indices(sparse.csr_matrix),
    "scipy csc, wide indices": lambda: _wide_indices(sparse.csc_array),
    "scipy csr, explicit zeros": lambda: sparse.csr_array(
        (np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2, 2]))
    ),
    "scipy csr, unused tail": lambda: sparse.csr_array(
        (np.array([1.0, 9.0]), np.array([0, 1]), np.array([0, 1, 1])), shape=(2, 2)
    ),
    "scipy coo, duplicates": lambda: _coo_with_duplicates(sparse.coo_array),
    "scipy coo matrix, duplicates": lambda: _coo_with_duplicates(sparse.coo_matrix),
    "scipy coo, 1-d": lambda: sparse.coo_array(np.array([0, 1, 0, 2])),
    "scipy coo, 3-d": lambda: sparse.coo_array(np.arange(8).reshape(2, 2, 2)),
    "scipy csr, 1-d": lambda: sparse.csr_array(np.array([0, 1, 0, 2])),
    "scipy dok, 1-d": lambda: sparse.dok_array(np.array([0, 1, 0, 2])),
    "scipy bsr, blocks": lambda: sparse.bsr_array(np.kron(np.eye(2), np.ones((2, 3)))),
    "scipy dia, offsets": lambda: sparse.dia_array((np.arange(8.0).reshape(2, 4), [-1, 2]), shape=(4, 5)),
    "scipy dok, order": lambda: _dok([(2, 1), (0, 0), (1, 1)]),
    "scipy lil, explicit zero": lambda: _lil(),
}


def _sorted(value: Any) -> Any:
    value.sum_duplicates()
    return value


def _dok(keys: Any) -> Any:
    value = sparse.dok_array((3, 3))
    for number, key in enumerate(keys):
        value[key] = number + 1.0
    return value


def _lil() -> Any:
    value = sparse.lil_array((2, 2))
    value.rows[0], value.data[0] = [1], [0.0]
    return value


def _dtype(**fields: Any) -> Any:
    return np.dtype(list(fields.items()))


PICKLE: Values = {
    "numpy aligned": lambda: np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "i8")], align=True)),
    "numpy metadata": lambda: np.zeros(2, dtype=np.dtype("f8", metadata={"unit": "m"})),
    "numpy record type": lambda: np.zeros(2, dtype=np.dtype((np.record, [("a", "i4")]))),
    "numpy overlapping fields": lambda: np.ones(
        2, dtype={"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]}
    ),
    "numpy recarray": lambda: np.rec.array([(1, "x")], dtype=[("a", "i4"), ("b", "U2")]),
    "numpy record": lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
    "numpy structured scalar": lambda: np.zeros(1, dtype=_STRUCT)[0],
    "numpy structured objects": lambda: np.array([(1, "x")], dtype=[("a", "i4"), ("b", object)]),
    "numpy masked": lambda: np.ma.array([1, 2, 3], mask=[True, False, False], fill_value=7),
    "numpy masked, structured": lambda: np.ma.array(
        [(1, 2.0)], mask=[(True, False)], dtype=[("a", "i4"), ("b", "f8")]
    ),
    "numpy matrix": lambda: np.matrix([[1, 2]]),
    "numpy StringDType": lambda: np.array(["a", "bc"], dtype=np.dtypes.StringDType()),
    "numpy chararray": lambda: np.char.array(["a", "b"]),
    "numpy objects, Fortran": lambda: np.asfortranarray(np.array([[1, "x"], [None, 2]], dtype=object)),
    "numpy objects of sets of objects": lambda: np.array([object], dtype=object),
    "numpy dtype": lambda: np.dtype([("a", "i4")]),
    "numpy scalar of no bytes": lambda: np.void(b""),
    "polars lazy": lambda: pl.LazyFrame({"a": [1, 2]}).filter(pl.col("a") > 1),
    "pyarrow array": lambda: pa.array([1, None]),
    "pyarrow extension": lambda: _periods(),
}


def _periods() -> Any:
    import pandas as pd

    return pa.table({"p": pa.array(pd.period_range("2024", periods=2, freq="M"))})


_BITS = (
    *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64, 128)),
    "Float16",
    "Float32",
    "Float64",
)
_SERIES: Values = {
    **{
        f"polars {name}": lambda name=name: pl.Series("s", [0, None, 1], dtype=getattr(pl, name))
        for name in _BITS
    },
    "polars Boolean": lambda: pl.Series("s", [True, None]),
    "polars String": lambda: pl.Series("s", ["ü", None, ""]),
    "polars Binary": lambda: pl.Series("s", [b"x", None, b""]),
    "polars Date": lambda: pl.Series("s", [dt.date(2024, 1, 1), None]),
    "polars Time": lambda: pl.Series("s", [dt.time(1, 2, 3, 4), None]),
    **{
        f"polars Datetime {u}": lambda u=u: pl.Series("s", [1, None]).cast(pl.Datetime(u, "Europe/Berlin"))
        for u in ("ms", "us", "ns")
    },
    "polars Datetime": lambda: pl.Series("s", [dt.datetime(2024, 1, 1), None]),
    **{
        f"polars Duration {u}": lambda u=u: pl.Series("s", [1, None]).cast(pl.Duration(u))
        for u in ("ms", "us", "ns")
    },
    "polars Decimal": lambda: pl.Series("s", [Decimal("1.10"), None], dtype=pl.Decimal(20, 3)),
    "polars Null": lambda: pl.Series("s", [None, None]),
    "polars Categorical": lambda: pl.Series("s", ["b", None, "a"], dtype=pl.Categorical),
    "polars Categorical, sliced": lambda: pl.Series("s", ["b", "c", "a"], dtype=pl.Categorical)[1:],
    "polars Categorical, none left": lambda: pl.Series("s", ["b", "c"], dtype=pl.Categorical)[:0],
    "polars Enum": lambda: pl.Series("s", ["b", None], dtype=pl.Enum(["c", "b", "a"])),
    "polars Enum, none left": lambda: pl.Series("s", [], dtype=pl.Enum(["c", "b"])),
    "polars List": lambda: pl.Series("s", [[1], [], None, [None]]),
    "polars List of Enum": lambda: pl.Series("s", [["b"], []], dtype=pl.List(pl.Enum(["a", "b"]))),
    "polars List of Categorical": lambda: pl.Series("s", [["b"], []], dtype=pl.List(pl.Categorical)),
    "polars Array": lambda: pl.Series("s", [[1, 2], None], dtype=pl.Array(pl.Int8, 2)),
    "polars Array, 2-d": lambda: pl.Series("s", [[[1], [2]]], dtype=pl.Array(pl.Int8, (2, 1))),
    "polars Struct": lambda: pl.Series("s", [{"a": 1, "b": [dt.date(2024, 1, 1)]}, None]),
    "polars empty": lambda: pl.Series("", [], dtype=pl.Float32),
    "polars nan": lambda: pl.Series("s", [float("nan"), None, -0.0]),
}
ARROW: Values = {
    **_SERIES,
    **{f"{name} in a frame": lambda make=make: make().to_frame("x") for name, make in _SERIES.items()},
    "polars frame": lambda: pl.DataFrame(
        [make().head(1).alias(name) for name, make in _SERIES.items() if len(make())]
    ),
    "polars no rows": lambda: pl.DataFrame([make().clear().alias(name) for name, make in _SERIES.items()]),
    "polars nothing": lambda: pl.DataFrame(),
    "polars large": lambda: pl.DataFrame({"a": range(20_000), "b": ["x", "y"] * 10_000}),
    "polars in chunks": lambda: pl.concat(
        [pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})], rechunk=False
    ),
    "pyarrow": lambda: pa.table({"a": [1, None], "b": pa.array(["x", "y"])}, metadata={"k": "v"}),
    "pyarrow metadata of a field": lambda: pa.table(
        [pa.array([1])], pa.schema([pa.field("a", pa.int8(), False, {"k": "v"})])
    ),
    "pyarrow dictionary": lambda: pa.table({"a": pa.array(["x", "y"]).dictionary_encode()}),
    "pyarrow dictionary, no rows": lambda: pa.table({"a": pa.array(["x", "y"]).dictionary_encode()}).slice(
        0, 0
    ),
    "pyarrow dictionary, ordered": lambda: pa.table(
        {"a": pa.DictionaryArray.from_arrays([0], ["x", "y"], ordered=True)}
    ),
    "pyarrow nested dictionary": lambda: pa.table(
        {"a": pa.ListArray.from_arrays([0, 1], pa.array(["x"]).dictionary_encode())}
    ),
    "pyarrow no rows": lambda: pa.schema(
        [("a", pa.int8()), ("b", pa.dictionary(pa.int8(), pa.string()))]
    ).empty_table(),
    "pyarrow no columns": lambda: pa.table({}),
    "pyarrow columns of one name": lambda: pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
    "pyarrow chunks": lambda: pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})]),
    "pyarrow types": lambda: pa.table(
        {
            "a": pa.array([Decimal("1.10")], pa.decimal256(50, 3)),
            "b": pa.array(["x"], pa.string_view()),
            "c": pa.array([1], pa.timestamp("s", "+05:30")),
            "d": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
            "e": pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([5])),
            "f": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["x"])]),
            "g": pa.array([b"0123456789abcdef"], pa.uuid()),
        }
    ),
    "pyarrow batch": lambda: pa.record_batch({"a": [1, 2]}),
    "pyarrow batch, no rows": lambda: pa.record_batch({"a": pa.array(["x"]).dictionary_encode()}).slice(0, 0),
}
BUNDLE: Values = {
    "dict of numpy": lambda: {name: make() for name, make in NPY.items()},
    "list of scipy": lambda: [make() for make in SPARSE.values()],
    "dict of polars and pyarrow": lambda: {name: make() for name, make in ARROW.items()},
}
