"""Tables of every kind of column, models trained on them, and such a model as it is served."""

import datetime
import json
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairway.formats import (
    NativePredictor,
    Package,
    check_features,
    nullable_columns,
    outputs_to_rows,
    rows_to_inputs,
)
from fairway.formats.models.runtime import OnnxPredictor
from fairway.formats.models.samples import decode_samples
from fairway.server import tensors
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
