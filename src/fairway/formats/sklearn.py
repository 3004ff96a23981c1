"""scikit-learn estimators through skops, which stores them as data. The file contains no code, and none runs.

Every type in a file must be known, from skops' own safe list or from the types reviewed here. Native code uses some
types without checking their content, such as trees with raw indices. For these the caller must trust the origin of
the file too. Equal models give equal bytes. This module knows other frameworks only by the names of the types that
occur in pipelines.
"""

import importlib
import io
import sys
from typing import Any, cast

from fairway.formats import archives
from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

_CLASSES = ("sklearn.", "scipy.sparse.", "xgboost.sklearn.", "lightgbm.sklearn.", "numpy.dtypes.")
_FUNCTIONS = ("sklearn.metrics.", "sklearn.feature_selection.")
_NEVER = ("sklearn.datasets.", "sklearn.utils._testing.", "sklearn.externals.", "sklearn.tests.")
"""Packages whose classes are refused although they lie in a reviewed package."""
_EXACT = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        "numpy.dtype",
        "xgboost.core.Booster",
        "lightgbm.basic.Booster",
        "lightgbm.compat._LGBMLabelEncoder",
    }
)
_UNCHECKED = (
    "sklearn.tree._tree.",
    "sklearn.neighbors._kd_tree.",
    "sklearn.neighbors._ball_tree.",
    "sklearn.ensemble._hist_gradient_boosting.predictor.",
    "xgboost.core.",
    "lightgbm.basic.",
)
"""Packages whose native code uses stored indices without checking them."""
_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of all entries, so that equal models have equal bytes."""


def encode(value: Any) -> Encoded | None:
    """Encode an estimator or another object. A type that is not reviewed, or a missing skops, gives None."""
    try:
        skops = load("skops.io")
    except ImportError:
        return None
    try:
        data = _canonical(skops.dumps(value))
        if unreviewed(skops.get_untrusted_types(data=data), trusted=True):
            return None
    except Exception:
        return None
    return Encoded(format="skops", kind=kind_of(value), note=_note(value), data=data)


def decode(content: Content, kind: str = "", *, trusted: bool = False) -> object:
    """Return the estimator.

    Args:
        content: the stored file.
        kind: the value's type for people.
        trusted: True when the content comes from a run of this project, so that indices in it need no check.

    Raises:
        SerializationError: a type in the content is not reviewed, or needs trust.
    """
    data = as_bytes(content)
    archives.check(data)
    skops = load("skops.io")
    types = skops.get_untrusted_types(data=data)
    if strange := unreviewed(types, trusted=trusted):
        raise SerializationError(
            f"a stored {kind or 'estimator'} holds types that are not allowed: {', '.join(strange)}",
            hint="make the model in a run of this project, or deploy its ONNX form",
        )
    return skops.loads(data, trusted=types)


def unreviewed(types: list[str], *, trusted: bool) -> list[str]:
    """Return those of the types that may not be loaded."""
    return [name for name in types if not _reviewed(name) or (name.startswith(_UNCHECKED) and not trusted)]


def _reviewed(name: str) -> bool:
    """Tell whether a type is one of the reviewed names, or a class or function of a reviewed package."""
    if name in _EXACT:
        return True
    if name.startswith(_NEVER) or not name.startswith(_CLASSES):
        return False
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(sys.modules.get(module) or importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(found, type) or (callable(found) and name.startswith(_FUNCTIONS))


def _canonical(data: bytes) -> bytes:
    """Count ids from 1 and remove times from the content, so that equal models have equal bytes."""
    import json
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        ids: dict[object, int] = {}
        names: dict[str, str] = {}
        stack: list[Any] = [schema]
        # Ids are counted in the order of the document, which is the same for equal models.
        while stack:
            node: Any = stack.pop()
            if type(node) is dict:
                fields = cast(dict[str, Any], node)
                if "__id__" in fields:
                    fields["__id__"] = ids.setdefault(fields["__id__"], len(ids) + 1)
                file: Any = fields.get("file")
                if isinstance(file, str):
                    fields["file"] = names.setdefault(file, f"{len(names) + 1}.{file.partition('.')[2]}")
                stack.extend(reversed(fields.values()))
            elif type(node) is list:
                stack.extend(reversed(cast(list[Any], node)))
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            for old, new in names.items():
                target.writestr(zipfile.ZipInfo(new, _DATE), archive.read(old))
            target.writestr(zipfile.ZipInfo("schema.json", _DATE), json.dumps(schema, separators=(",", ":")))
    return out.getvalue()


def _note(value: Any) -> str:
    """Return the steps of a pipeline, or the version of scikit-learn, for people."""
    steps: list[tuple[str, object]] | None = getattr(value, "steps", None)
    if type(steps) is list:
        return " + ".join(type(step[1]).__name__ for step in steps)
    return f"scikit-learn {sys.modules['sklearn'].__version__}"
