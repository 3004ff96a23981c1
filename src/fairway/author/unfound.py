"""Explanations for modules that a project imports and that are not found.

A name that may belong to the project itself is never answered with a command that installs it, because a package of
that name on an index belongs to somebody else. This module imports nothing of the project.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fairway.author import source

_NAMES = """
    accelerate altair bokeh boto3 catboost click cv2=opencv-python cvxpy dask datasets dateutil=python-dateutil diffusers
    dotenv=python-dotenv duckdb evaluate faiss=faiss-cpu fastapi flask flax folium gensim geopandas gradio gymnasium h5py
    httpx hydra=hydra-core hyperopt imblearn=imbalanced-learn imageio ipywidgets jax joblib keras lifelines lightgbm
    lightning matplotlib mlflow monai msgspec networkx nibabel nltk numba numpy omegaconf onnx onnxruntime onnxmltools
    openai openpyxl optuna pandas peft PIL=pillow plotly polars prophet psycopg pyarrow pydantic pydicom pyspark
    pytest pytorch_lightning=pytorch-lightning ray requests rich scipy seaborn sentence_transformers=sentence-transformers
    shap skimage=scikit-image skl2onnx sklearn=scikit-learn skops spacy sqlalchemy statsmodels streamlit sympy tensorflow
    tiktoken timm tokenizers torch torchaudio torchmetrics torchvision tqdm transformers tslearn umap=umap-learn wandb
    xarray xgboost yaml=pyyaml zarr
    """
_LIBRARIES = {pair.partition("=")[0]: pair.partition("=")[2] for pair in _NAMES.split()}
"""Well-known libraries by the name that is imported. The value is the name to install, if it is another one."""

_CLOSE = 0.75
_DEPTH = 3
_MOST = 3


def explain(error: ModuleNotFoundError, path: str, roots: Sequence[str]) -> tuple[str, str]:
    """Explain why a module is not found.

    Args:
        error: the error that the import raised.
        path: the project file.
        roots: folders that the project's modules are imported from.

    Returns:
        a message and a hint.
    """
    name = error.name or ""
    top, _, rest = name.partition(".")
    folder = Path(path).parent
    wanted = f"{path} needs the module {name}"
    if rest and getattr(sys.modules.get(top), "__file__", None) and not source.is_project(top):
        return f"{wanted}, which the installed {top} does not have", "see which version of it you need"
    # The project's own places are asked before the list of libraries: its package `models.x` is no library.
    package = _package(name, roots)
    if package is not None:
        return _in_package(wanted, name, package)
    if not rest or top not in _LIBRARIES:
        elsewhere = _elsewhere(top, folder, roots)
        if elsewhere is not None:
            return _out_of_reach(wanted, path, top, elsewhere, roots)
        alike = _alike(top, roots)
        if alike and top not in _LIBRARIES:
            return f"{wanted}, which is not in {_listed(roots)}", f"is it `{alike}`?"
    known = _LIBRARIES.get(top)
    if known is not None or _declared(top, folder):
        return f"{wanted}, which is not installed", f"install it: `pip install {known or top}`"
    return (
        f"{wanted}, which is not installed and not in {_listed(roots)}",
        f"if it is a file of yours, put `{top}.py` there; if it is a library, install it by the name that its "
        "documentation gives",
    )


def _package(name: str, roots: Sequence[str]) -> Path | None:
    """Return the project's folder or file in which the module is missing, or None when it belongs to none."""
    parts = name.split(".")
    for root in roots:
        folder = Path(root)
        for part in parts[:-1]:
            if not (folder / part).is_dir():
                break
            folder /= part
        if folder != Path(root):
            return folder
        if len(parts) > 1 and (folder / f"{parts[0]}.py").is_file():
            return folder / f"{parts[0]}.py"
    return None


def _in_package(wanted: str, name: str, package: Path) -> tuple[str, str]:
    """Explain that a package of the project lacks a module."""
    if package.suffix == ".py":
        return (
            f"{wanted}, but {package} is a file, not a package",
            "import its parts: `from FILE import PART`",
        )
    depth = name.split(".").index(package.name) + 1
    missing = name.split(".")[depth]
    known = sorted(_modules(package))
    close = _closest(missing, known)
    return (
        f"{wanted}, but {package} has no {missing}.py",
        f"is it `{'.'.join([*name.split('.')[:depth], close])}`?"
        if close
        else f"it has {', '.join(known[:8])}",
    )


def _out_of_reach(wanted: str, path: str, top: str, place: Path, roots: Sequence[str]) -> tuple[str, str]:
    """Explain that a module of the project lies in a folder from which nothing is imported."""
    try:
        inner = Path(path).relative_to(place.parent).with_suffix("")
    except ValueError:
        hint = f"move it to {roots[0]}, or name {place.parent} in PYTHONPATH"
    else:
        hint = f"run the file as a part of that folder: `cd {place.parent} && fairway run {'.'.join(inner.parts)}`"
    return f"{wanted}, which was looked for in {_listed(roots)}; there is one at {place}", hint


def _elsewhere(name: str, folder: Path, roots: Sequence[str]) -> Path | None:
    """Find a file or package of that name in the project, outside the folders that its modules are imported from."""
    places = [Path.cwd(), folder, *list(folder.parents)[:_DEPTH]]
    end = next((place for place in [folder, *folder.parents] if _is_root(place)), None)
    if end is not None:
        places += list(_below(end, _DEPTH))
    for place in [*places, *(Path(root, "src") for root in roots)]:
        for found in (place / f"{name}.py", place / name / "__init__.py"):
            if found.is_file() and str(place) not in roots and source.is_project_file(str(found)):
                return found if found.stem == name else found.parent
    return None


def _is_root(folder: Path) -> bool:
    """Tell whether a folder is the root of a project."""
    return (folder / "pyproject.toml").is_file() or (folder / ".git").exists()


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the folders below one, without hidden folders and virtual environments."""
    try:
        inside = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))[
            :100
        ]
    except OSError:
        return
    for path in inside:
        if not os.path.basename(path).startswith(".") and not os.path.exists(f"{path}/pyvenv.cfg"):
            yield Path(path)
            if depth > 1:
                yield from _below(Path(path), depth - 1)


def _alike(name: str, roots: Sequence[str]) -> str:
    """Return a module of the project with a similar name, or an empty text."""
    known = [module for root in roots for module in _modules(Path(root))]
    return _closest(name, known)


def _closest(name: str, known: Sequence[str]) -> str:
    """Return the known name that is most like the given one; empty if there is none."""
    import difflib  # loaded when there is an error only: every process that imports a project has this module

    return next(iter(difflib.get_close_matches(name, known, 1, _CLOSE)), "")


def _modules(folder: Path) -> set[str]:
    """Return the names of the modules and packages in a folder."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return set()
    files = {
        entry.name[:-3] for entry in entries if entry.name.endswith(".py") and entry.name != "__init__.py"
    }
    return files | {entry.name for entry in entries if os.path.isfile(f"{entry.path}/__init__.py")}


def _declared(name: str, folder: Path) -> bool:
    """Tell whether the project's own metadata asks for a distribution of this name."""
    word = re.compile(rf"(?im)^[\s\"']*{re.escape(name).replace('_', '[-_]')}\s*([\[=<>~!;@\"',]|$)")
    for place in [folder, *list(folder.parents)[:_DEPTH]]:
        for path in (place / "pyproject.toml", *sorted(place.glob("requirements*.txt"))[:5]):
            try:
                text = path.read_text("utf-8", "replace")[: 1 << 18]
            except OSError:
                continue
            if word.search(text.replace("[", "[\n").replace(",", ",\n")):
                return True
        if _is_root(place):
            break
    return False


def _listed(folders: Sequence[str]) -> str:
    """Return the folders for a message, at most `_MOST` of them."""
    return " or ".join(folders[:_MOST]) or "the project"
