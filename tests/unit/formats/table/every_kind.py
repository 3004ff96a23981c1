"""One value of every kind of pandas, polars, pyarrow, numpy and scipy, by name, and the format that holds each."""

import other_values
import pandas_values

FORMATS = {
    name: format
    for values, format in (
        (pandas_values.ARROW, "arrow"),
        (pandas_values.PICKLE, "pickle"),
        (pandas_values.BUNDLE, "bundle"),
        (other_values.NPY, "npy"),
        (other_values.JSON, "json"),
        (other_values.SPARSE, "sparse"),
        (other_values.PICKLE, "pickle"),
        (other_values.ARROW, "arrow"),
        (other_values.BUNDLE, "bundle"),
    )
    for name in values
}
VALUES = (
    pandas_values.ARROW
    | pandas_values.PICKLE
    | pandas_values.BUNDLE
    | other_values.NPY
    | other_values.JSON
    | other_values.SPARSE
    | other_values.PICKLE
    | other_values.ARROW
    | other_values.BUNDLE
)
