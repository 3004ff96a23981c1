"""Columns as a frame of pandas or polars, whichever is installed."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from fairway.spec.errors import UsageError

_KNOWN = ("pandas", "polars")


def frame(columns: Mapping[str, Sequence[object]], library: str = "", times: Sequence[str] = ()) -> Any:
    """Return columns as a frame.

    Args:
        columns: the values by the name of the column, all of the same length.
        library: "pandas" or "polars". Without it, pandas if it is installed, else polars.
        times: the columns that hold seconds since the epoch. They become times in UTC, and 0 becomes a missing one.

    Raises:
        UsageError: the library is unknown or not installed.
    """
    if library not in ("", *_KNOWN):
        raise UsageError(f"{library!r} makes no frames here", hint='write "pandas" or "polars"')
    for name in (library,) if library else _KNOWN:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return _pandas(module, columns, times) if name == "pandas" else _polars(module, columns, times)
    raise UsageError(
        f"a frame needs {library or 'pandas or polars'}, which is not installed",
        hint=f"`pip install {library or 'pandas'}`",
    )


def _pandas(pd: Any, columns: Mapping[str, Sequence[object]], times: Sequence[str]) -> Any:
    made = pd.DataFrame(dict(columns))
    for name in times:
        made[name] = pd.to_datetime(made[name].where(made[name] > 0), unit="s", utc=True)
    return made


def _polars(pl: Any, columns: Mapping[str, Sequence[object]], times: Sequence[str]) -> Any:
    made = pl.DataFrame({name: pl.Series(list(values), strict=False) for name, values in columns.items()})
    for name in times:
        known = pl.when(pl.col(name) > 0).then(pl.col(name) * 1_000_000)
        made = made.with_columns(known.cast(pl.Int64).cast(pl.Datetime("us", "UTC")).alias(name))
    return made
