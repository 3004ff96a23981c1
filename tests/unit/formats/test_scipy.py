from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sparse


@pytest.mark.parametrize("size", [4, 20_000])
@pytest.mark.parametrize("ending", ["matrix", "array"])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
def test_every_layout_comes_back(layout: str, ending: str, size: int, trip: Callable[..., Any]) -> None:
    value = getattr(sparse, f"{layout}_{ending}")(sparse.diags_array(np.arange(1.0, size + 1)))
    again = trip(value, "sparse")
    assert type(again) is type(value)
    assert again.dtype == value.dtype
    assert (again != value).nnz == 0
