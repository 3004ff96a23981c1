"""The packages of a project that travel to a target."""

from pathlib import Path

import pytest

from fairway.formats.models import package
from fairway.local import project_settings
from fairway.local.bundling import collect
from fairway.local.digests import DigestCache
from fairway.spec.errors import UsageError
from fairway.wiring.equipping import _imported, _with_companions


def imported(folder: Path, **files: str) -> set[str]:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    cache = DigestCache(str(folder / ".cache.json"))
    return _imported(collect(str(folder / "flow.py"), "", cache))


def test_every_import_of_every_file_of_the_project_counts(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        flow="import numpy as np, pandas\nfrom sklearn.linear_model import Ridge\nimport helper\n",
        helper="def late():\n    import scipy.stats\n    from . import other\n",
    )
    assert {"numpy", "pandas", "sklearn.linear_model", "helper", "scipy.stats"} == found


def test_a_file_that_cannot_be_parsed_is_left_to_the_import(tmp_path: Path) -> None:
    assert imported(tmp_path, flow="import numpy\n", broken="import (\n") == {"numpy"}


@pytest.mark.parametrize(
    ("modules", "companions"),
    [
        ({"sklearn.ensemble"}, {"onnx", "onnxruntime", "skl2onnx", "skops"}),
        ({"polars"}, {"pyarrow"}),
        ({"numpy", "json"}, set()),
    ],
)
def test_what_fairway_uses_with_a_framework_comes_along(modules: set[str], companions: set[str]) -> None:
    assert _with_companions(modules) == modules | companions


MODULES = {
    "scikit-learn": "sklearn",
    "LightGBM": "lightgbm",
    "XGBoost": "xgboost",
    "PyTorch": "torch",
    "Keras": "keras",
}


@pytest.mark.parametrize("framework", sorted(package._CONVERTERS))
def test_what_compiles_a_model_here_comes_along_to_a_cluster(framework: str) -> None:
    module = MODULES.get(framework, framework)
    assert set(package._CONVERTERS[framework]) <= _with_companions({module})


def test_the_project_may_name_a_requirements_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.fairway]\nrequirements = "lock.txt"\n')
    assert project_settings.read(str(tmp_path)).requirements == "lock.txt"
    (tmp_path / "pyproject.toml").write_text("[tool.fairway]\nrequirements = 3\n")
    with pytest.raises(UsageError, match="is not the path of a file"):
        project_settings.read(str(tmp_path))
