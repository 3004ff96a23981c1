"""Models over tables of every kind answer each row alone, all rows and shuffled rows as they did in training."""

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder
from trained import (
    CITIES,
    NUMBER,
    PLACE,
    ROWS,
    SIZES,
    TABLES,
    TARGET,
    TIMES,
    Served,
    as_rows,
    categories,
    elapsed,
    encoded,
    frame,
    hgb,
    late,
    lgb,
    ratio,
    xgb,
)

from fairway.formats import (
    NativePredictor,
    package_model,
    rows_to_inputs,
)
from fairway.spec.errors import FairwayError, UsageError


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
