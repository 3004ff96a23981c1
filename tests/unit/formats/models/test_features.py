"""Models over tables of every kind answer each row alone, all rows and shuffled rows as they did in training."""

import datetime
import json
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from fairway.formats import (
    NativePredictor,
    Package,
    check_features,
    nullable_columns,
    outputs_to_rows,
    package_model,
    rows_to_inputs,
)
from fairway.formats.models.runtime import OnnxPredictor
from fairway.formats.models.samples import decode_samples
from fairway.server import tensors
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.model import Signature

ROWS = 60
RANDOM = np.random.default_rng(3)
NUMBER = RANDOM.normal(size=ROWS)
PLACE = RANDOM.integers(0, 3, ROWS)
CITIES = ["Rome", "Zürich", "東京"]
SIZES = [30, 10, 20]
DAYS = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(ROWS) * 37, unit="h")
TARGET = ((PLACE == 1) | (NUMBER > 1)).astype(int)


def frame(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": NUMBER, "b": values})


def late(column: pd.Series, value: Any = None) -> pd.Series:
    """The column with missing values behind the rows that are kept."""
    changed = column.copy()
    changed.iloc[50:55] = value
    return changed


def categories(names: list[Any], *, ordered: bool = False) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(PLACE, categories=names, ordered=ordered))


class Elapsed(TransformerMixin, BaseEstimator):
    """Days since 2025 of whatever counts time, by the column's name."""

    def fit(self, X: Any, y: Any = None) -> "Elapsed":
        return self

    def transform(self, X: Any) -> Any:
        column = X["b"]
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        elif column.dtype == object:
            assert all(type(cell) in (datetime.date, float) for cell in column)
            column = pd.to_datetime(column)
        if column.dtype.kind == "M":
            hours = column.dt.hour
            column = column - pd.Timestamp("2025-01-01", tz=column.dt.tz)
        else:
            hours = 0
        days = ((column / pd.Timedelta("1D")) + hours).fillna(-1)
        return np.column_stack([X["a"].to_numpy(), days.to_numpy(dtype=float)])


class Ratio(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> "Ratio":
        return self

    def transform(self, X: Any) -> Any:
        return X.assign(r=X["a"] / (X["b"] + 10))


def xgb() -> Any:
    return xgboost.XGBClassifier(n_estimators=5, enable_categorical=True)


def lgb() -> Any:
    return lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, verbose=-1)


def hgb() -> Any:
    return HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2, categorical_features="from_dtype")


def encoded() -> Any:
    words = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        ColumnTransformer([("w", words, ["b"])], remainder="passthrough"), LogisticRegression()
    )


def elapsed() -> Any:
    return make_pipeline(Elapsed(), Ridge())


def ratio() -> Any:
    return make_pipeline(Ratio(), Ridge())


MODELS = {"xgboost": xgb, "lightgbm": lgb, "histogram": hgb, "encoded": encoded}
CATEGORIES = {
    "text": categories(CITIES),
    "ordered": categories(CITIES, ordered=True),
    "whole": categories(SIZES),
    "late missing text": late(categories(CITIES)),
    "late missing whole": late(categories(SIZES)),
    "more than seen": categories([*CITIES, "Oslo"]),
}
TIMES = {
    "naive": pd.Series(DAYS),
    "nanoseconds": pd.Series(DAYS + pd.Timedelta(7, "ns")).astype("datetime64[ns]"),
    "seconds": pd.Series(DAYS).astype("datetime64[s]"),
    "zoned": pd.Series(DAYS.tz_localize("UTC").tz_convert("Europe/Berlin")),
    "late missing": late(pd.Series(DAYS)),
    "dates": pd.Series([day.date() for day in DAYS], dtype=object),
    "durations": pd.Series(DAYS - DAYS[20]),
    "periods": pd.Series(DAYS.to_period("D")),
}
NUMBERS = {
    "all of one type": pd.Series(NUMBER + 3),
    "whole": pd.Series(PLACE),
    "nullable whole": pd.Series(PLACE).astype("Int64"),
    "late missing nullable": late(pd.Series(PLACE).astype("Int64"), pd.NA),
    "truth": pd.Series(PLACE == 1),
    "objects": pd.Series([*PLACE.tolist()], dtype=object),
}
TABLES = [
    *(
        (f"{model} {kind}", make, frame(column))
        for model, make in MODELS.items()
        for kind, column in CATEGORIES.items()
    ),
    *((f"elapsed {kind}", elapsed, frame(column)) for kind, column in TIMES.items()),
    *((f"ratio {kind}", ratio, frame(column)) for kind, column in NUMBERS.items() if "missing" not in kind),
    *((f"histogram {kind}", hgb, frame(column)) for kind, column in NUMBERS.items() if kind != "objects"),
]


def as_json(cell: Any) -> Any:
    """A cell as a client writes it."""
    if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell:
        return None
    if isinstance(cell, pd.Period):
        return str(cell)
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    return cell.item() if hasattr(cell, "item") else cell


def as_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [[as_json(cell) for cell in table.iloc[:, place].tolist()] for place in range(table.shape[1])]
    return [dict(zip(table.columns, cells, strict=True)) for cells in zip(*columns, strict=True)]


class Served:
    """A registered model behind the codecs of the server, its signature read back from JSON."""

    def __init__(self, model: Any, package: Package) -> None:
        import msgspec

        signature = msgspec.json.decode(msgspec.json.encode(package.signature), type=Signature)
        kept, _ = decode_samples(package.samples)
        self.nullable = nullable_columns(signature, kept)
        self.predictors: list[Any] = [NativePredictor(model, signature)]
        if package.compiled is not None:
            self.predictors.append(OnnxPredictor(package.compiled, signature))
        self.signature = signature

    def ask(self, rows: list[Any]) -> list[list[Any]]:
        """The answers of each predictor for rows of JSON."""
        rows = json.loads(json.dumps(rows))
        inputs = rows_to_inputs(self.signature, rows, self.nullable)
        return [outputs_to_rows(self.signature, each.predict(inputs)) for each in self.predictors]

    def infer(self, rows: list[dict[str, Any]], *, binary: bool) -> list[Any]:
        """The predictions of each predictor for tensors of the protocol."""
        wanted = tensors.wanted_of(self.signature)
        body: list[dict[str, Any]] = []
        chunks: list[bytes] = []
        for spec in self.signature.inputs:
            names = self.signature.columns if self.signature.layout == "tensor" else (spec.name,)
            data = [row[name] for row in rows for name in names]
            shape = [len(rows), len(names)] if self.signature.layout == "tensor" else [len(rows)]
            tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": shape}
            if binary:
                array = np.array(data, dtype=object if spec.datatype == "BYTES" else None)
                chunks.append(tensors.to_binary(array, spec.datatype))
                tensor["parameters"] = {"binary_data_size": len(chunks[-1])}
            else:
                tensor["data"] = data
            body.append(tensor)
        head = json.dumps({"inputs": body}).encode()
        request, rest = tensors.decode(head + b"".join(chunks), str(len(head)).encode())
        inputs = check_features(self.signature, tensors.inputs_of(request, rest, wanted))
        return [each.predict(inputs)["prediction"] for each in self.predictors]


def values(answers: list[Any]) -> Any:
    """The numbers of answers: probabilities of the second class, or the prediction itself."""
    return np.array([list(a["probabilities"].values())[1] if isinstance(a, dict) else a for a in answers])


@pytest.mark.parametrize(("make", "table"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_each_row_is_answered_as_in_training(make: Callable[[], Any], table: pd.DataFrame) -> None:
    model = make()
    classifier = hasattr(model, "predict_proba")
    model.fit(table, TARGET if classifier else TARGET + NUMBER)
    expected = model.predict_proba(table)[:, 1] if classifier else model.predict(table)
    served = Served(model, package_model(model, table))
    rows = as_rows(table)
    order = np.random.default_rng(1).permutation(ROWS)
    for got in served.ask(rows):
        assert np.allclose(values(got), expected, atol=1e-4)
    for got in served.ask([list(rows[place].values()) for place in order]):
        assert np.allclose(values(got), expected[order], atol=1e-4)
    for place in [*range(0, ROWS, 7), *range(49, 56)]:
        for got in served.ask([rows[place]]):
            assert np.allclose(values(got), expected[place : place + 1], atol=1e-4), rows[place]
    known = [row for row in rows if None not in row.values()]
    wanted = model.predict(table)[[None not in row.values() for row in rows]]
    for binary in (False, True):
        for got in served.infer(known, binary=binary):
            assert np.allclose(got.astype(float), wanted.astype(float), atol=1e-4)


def test_a_category_beyond_the_kept_rows_is_known() -> None:
    table = frame(categories(CITIES)).sort_values("b", ignore_index=True)
    model = xgb().fit(table, table.b == "東京")
    served = Served(model, package_model(model, table))
    for got in served.ask([{"a": 0.0, "b": "東京"}]):
        assert np.allclose(values(got), model.predict_proba(table[-1:].assign(a=0.0))[:, 1], atol=1e-5)


@pytest.mark.parametrize("make", [xgb, lgb, hgb], ids=["xgboost", "lightgbm", "histogram"])
@pytest.mark.parametrize(("names", "other"), [(CITIES, "Oslo"), (SIZES, 15)], ids=["text", "whole"])
def test_a_category_that_was_not_trained_on_counts_as_missing(
    make: Callable[[], Any], names: list[Any], other: Any
) -> None:
    table = frame(late(categories(names)))
    model = make().fit(table, TARGET)
    served = Served(model, package_model(model, table))
    missing = table[50:51].assign(a=0.5)
    for got in served.ask([{"a": 0.5, "b": other}, {"a": 0.5, "b": None}]):
        assert np.allclose(values(got), [model.predict_proba(missing)[0, 1]] * 2, atol=1e-5)


def test_a_category_on_which_the_model_fails_is_refused_by_name() -> None:
    words = ColumnTransformer([("w", OneHotEncoder(), ["b"])], remainder="passthrough")
    table = frame(categories(CITIES))
    model = make_pipeline(words, LogisticRegression()).fit(table, TARGET)
    served = Served(model, package_model(model, table))
    with pytest.raises(
        UsageError, match="row 1: field 'b' must be one of 'Rome', 'Zürich', '東京', not 'Oslo'"
    ):
        served.ask([{"a": 1.0, "b": "Rome"}, {"a": 1.0, "b": "Oslo"}])


def test_a_compiled_form_that_answers_another_way_for_unknown_categories_is_dropped() -> None:
    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-5)
    table = frame(categories(CITIES))
    columns = ColumnTransformer([("w", words, ["b"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(table, TARGET)
    served = Served(model, package_model(model, table))
    expected = model.predict_proba(pd.DataFrame({"a": [0.5], "b": ["Oslo"]}))[0, 1]
    for got in served.ask([{"a": 0.5, "b": "Oslo"}]):
        assert np.allclose(values(got), expected, atol=1e-5)


@pytest.mark.parametrize("make", [xgb, lgb], ids=["xgboost", "lightgbm"])
def test_rows_of_plain_text_take_the_categories_that_the_model_kept(make: Callable[[], Any]) -> None:
    table = frame(categories(["x", "y", "z"]))
    model = make().fit(table, TARGET)
    served = Served(model, package_model(model, [{"a": 0.1, "b": "z"}, {"a": 0.2, "b": "x"}]))
    expected = model.predict_proba(table)[:, 1]
    for place, row in enumerate(as_rows(table)[:10]):
        for got in served.ask([row]):
            assert np.allclose(values(got), expected[place], atol=1e-5)


def test_categories_that_the_model_cannot_give_back_are_asked_for() -> None:
    model = xgb().fit(frame(categories(CITIES)), TARGET)
    with pytest.raises(UsageError, match="the categories of column 'b' are not known"):
        package_model(model, [{"a": 0.1, "b": "Rome"}])


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("naive", "yesterday", "needs a date and time in ISO 8601, such as '2026-01-31T12:30:00'"),
        ("naive", "2026-01-02T00:00:00Z", "it has an offset"),
        ("naive", 17, "needs a date and time in ISO 8601"),
        ("naive", None, "not null"),
        ("zoned", "2026-01-02T00:00:00", "it has no offset"),
        ("nanoseconds", "1500-01-01", "1678 to 2261"),
        ("dates", "2026-02-30", "needs a date in ISO 8601"),
        ("durations", "3 days", "needs a duration in ISO 8601, such as 'P1DT12H30M'"),
        ("durations", "P", "needs a duration"),
        ("periods", "soon", "needs a period"),
    ],
)
def test_a_time_that_cannot_be_read_is_refused_with_its_row_and_form(
    column: str, text: Any, message: str
) -> None:
    table = frame(TIMES[column])
    model = elapsed().fit(table, TARGET)
    served = Served(model, package_model(model, table))
    good = as_rows(table)[0]
    with pytest.raises(UsageError, match="row 1: field 'b'") as refused:
        served.ask([good, {**good, "b": text}])
    assert message in refused.value.message


def test_other_ways_to_write_a_moment_mean_the_same() -> None:
    table = frame(TIMES["zoned"])
    model = elapsed().fit(table, TARGET)
    served = Served(model, package_model(model, table))
    same = [
        "2026-01-05T12:00:00+01:00",
        "2026-01-05T11:00:00Z",
        "2026-01-05 11:00:00.000+00:00",
        "20260105T110000Z",
    ]
    [got] = served.ask([{"a": 1.0, "b": text} for text in same])
    assert len(set(got)) == 1


def test_polars_tables_are_served_as_such() -> None:
    class Own:
        def predict(self, data: Any) -> Any:
            assert isinstance(data, pl.DataFrame)
            return (
                data.select(
                    pl.col("c").cast(pl.String).str.len_chars()
                    + pl.col("d").dt.year()
                    + pl.col("t").dt.hour()
                )
                .to_series()
                .to_numpy()
            )

    table = pl.DataFrame(
        {
            "c": ["x", "yy", "x"],
            "d": [datetime.date(2024, 1, 1), datetime.date(2025, 2, 2), datetime.date(2026, 3, 3)],
            "t": [datetime.datetime(2024, 1, 1, hour) for hour in (1, 2, 3)],
        },
        schema_overrides={"c": pl.Categorical},
    ).with_columns(pl.col("t").dt.replace_time_zone("Europe/Berlin"))
    served = Served(Own(), package_model(Own(), table))
    assert served.ask([{"c": "yy", "d": "2025-02-02", "t": "2024-01-01T02:00:00+01:00"}]) == [[2029]]


def test_arrays_without_names_take_missing_values_where_the_sample_has_any() -> None:
    data = np.column_stack([NUMBER, NUMBER])
    data[50, 1] = np.nan
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=2).fit(data, TARGET)
    served = Served(model, package_model(model, data))
    for got in served.ask([[0.5, None]]):
        assert np.allclose(values(got), model.predict_proba([[0.5, np.nan]])[:, 1], atol=1e-5)
    model = LogisticRegression().fit(data[:40], TARGET[:40])
    with pytest.raises(UsageError):
        Served(model, package_model(model, data[:40])).ask([[0.5, None]])


@pytest.mark.parametrize("labels", [[7, 9], [True, False], ["no", "yes"], [0.5, 1.5]], ids=str)
@pytest.mark.parametrize("dtype", [object, None], ids=["objects", "typed"])
def test_labels_come_back_as_they_were(labels: list[Any], dtype: Any) -> None:
    target = np.array([labels[place] for place in TARGET], dtype=dtype)
    if labels == [0.5, 1.5] or (dtype is object and labels != ["no", "yes"]):
        model: Any = Nearest(labels)
    else:
        model = LogisticRegression().fit(NUMBER.reshape(-1, 1), target)
    served = Served(model, package_model(model, NUMBER.reshape(-1, 1)))
    for got in served.ask(NUMBER.reshape(-1, 1).tolist()):
        predicted = [answer["prediction"] if isinstance(answer, dict) else answer for answer in got]
        assert {type(label) for label in predicted} == {type(labels[0])}
        assert predicted == [
            label.item() if hasattr(label, "item") else label
            for label in model.predict(NUMBER.reshape(-1, 1))
        ]


class Nearest:
    """Gives numbers as objects."""

    def __init__(self, labels: list[Any]) -> None:
        self.labels = labels

    def predict(self, data: Any) -> Any:
        return np.array([self.labels[int(row[0] > 0)] for row in np.asarray(data)], dtype=object)


def test_two_columns_of_one_name_are_refused() -> None:
    table = pd.DataFrame(np.eye(3), columns=["a", "b", "a"])
    with pytest.raises(UsageError, match="two columns named 'a'"):
        package_model(Ridge().fit(table.to_numpy(), [1, 2, 3]), table)
    with pytest.raises(UsageError, match="two columns named '1'"):
        package_model(ratio(), pd.DataFrame(np.eye(2), columns=[1, "1"]))


def test_columns_that_are_named_by_numbers_keep_them() -> None:
    table = pd.DataFrame(np.column_stack([NUMBER, NUMBER**2]))

    class Second:
        def predict(self, data: Any) -> Any:
            return data[1].to_numpy()

    served = Served(Second(), package_model(Second(), table))
    assert served.ask([{"0": 2.0, "1": 4.0}]) == [[4.0]]


def test_the_error_of_the_model_is_told_with_its_type() -> None:
    table = frame(NUMBER)
    model = make_pipeline(FunctionTransformer(lambda data: data[["gone"]]), Ridge().fit([[1.0]], [1.0]))
    with pytest.raises(UsageError, match=r"the model cannot predict its sample: KeyError: .*gone"):
        package_model(model, table)


def test_a_model_whose_answer_for_a_row_depends_on_its_neighbours_is_refused() -> None:
    class Centred:
        def predict(self, data: Any) -> Any:
            return np.asarray(data)[:, 0] - np.asarray(data)[:, 0].mean()

    with pytest.raises(FairwayError, match=r"when a row comes alone"):
        package_model(Centred(), NUMBER.reshape(-1, 1))


def test_what_a_late_row_shows_decides_how_a_column_is_read() -> None:
    mixed = pd.Series([1] * 40 + [1.5] * 20, dtype=object)
    model = hgb().fit(frame(mixed.astype(float)), TARGET)
    signature = package_model(encoded().fit(frame(mixed), TARGET), frame(mixed)).signature
    assert {spec.name: spec.datatype for spec in signature.inputs}["b"] == "FP64"
    with pytest.raises(UsageError, match="column 'b' holds values of type"):
        package_model(model, frame(pd.Series([1] * 40 + ["x"] * 20, dtype=object)))


def over_city(encoder: Any) -> Any:
    return make_pipeline(
        ColumnTransformer([("words", encoder, ["b"])], remainder="passthrough"), LogisticRegression()
    )


@pytest.mark.parametrize(
    ("encoder", "values", "strange"),
    [
        (OrdinalEncoder(), np.array(CITIES, dtype=object)[PLACE], "Oslo"),
        (OneHotEncoder(), np.array(CITIES, dtype=object)[PLACE], "Oslo"),
        (OrdinalEncoder(), np.array(SIZES)[PLACE], 40),
        (OneHotEncoder(), np.array(SIZES)[PLACE], 40),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder()), np.array(CITIES, dtype=object)[PLACE],
         "Oslo"),
    ],
    ids=["text in order", "text as columns", "numbers in order", "numbers as columns", "behind an imputer"],
)  # fmt: skip
def test_a_plain_value_that_an_encoder_refuses_is_refused_by_name_in_every_form(
    encoder: Any, values: Any, strange: Any
) -> None:
    table = frame(values)
    package = package_model(over_city(encoder).fit(table, TARGET), table)
    with pytest.raises(UsageError, match="row 0: field 'b' must be one of"):
        rows_to_inputs(package.signature, [{"a": 0.5, "b": strange}])
    assert rows_to_inputs(package.signature, [{"a": 0.5, "b": values.tolist()[0]}])["b"][0] == values[0]


def test_a_compiled_form_that_answers_where_the_model_refuses_is_dropped() -> None:
    data = np.column_stack([NUMBER > 0, np.array(SIZES)[PLACE]]).astype(float)
    package = package_model(make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(data, TARGET), data)
    assert package.compiled is None
    assert "answers for a value that the model was not trained on" in package.note


def test_values_that_a_part_changes_before_they_are_encoded_are_left_to_the_model() -> None:
    table = frame(np.array(["rome", "oslo", "bern"], dtype=object)[PLACE])
    lower = FunctionTransformer(lambda part: part.apply(lambda column: column.str.lower()))
    model = over_city(make_pipeline(lower, OrdinalEncoder())).fit(table, TARGET)
    signature = package_model(model, table).signature
    inputs = rows_to_inputs(signature, [{"a": 0.5, "b": "ROME"}])
    assert NativePredictor(model, signature).predict(inputs)["prediction"].shape == (1,)


def test_a_compiled_form_that_answers_another_way_where_a_late_value_is_missing_is_dropped() -> None:
    random = np.random.default_rng(0)
    columns = {
        "a": random.normal(size=80),
        "b": random.choice(["x", "y", "z"], 80).astype(object),
        "c": random.integers(1, 5, 80).astype(float),
    }
    table = pd.DataFrame(columns)
    target = ((table.b == "x") ^ (table.a > 0)).astype(int)
    table.loc[60:, "b"] = None
    table.loc[65:, "c"] = np.nan
    words = ColumnTransformer(
        [("words", OneHotEncoder(handle_unknown="ignore"), ["b"])], remainder=SimpleImputer()
    )
    model = make_pipeline(words, RandomForestClassifier(9, random_state=0)).fit(table, target)
    package = package_model(model, table)
    assert package.compiled is None
    assert "differs" in package.note
