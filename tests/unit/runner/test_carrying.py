"""A model takes along what it needs of the project, and a fresh process without the project reproduces its samples.

One process that has a project makes all the models; another one, which has only the store, answers for them.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fairway.runner.proof import Order
from fairway.spec.model import Candidate

FEATURES = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from .shared import doubled

class Doubler(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None): return self
    def transform(self, X):
        from .late import one
        return doubled(X) * one()

def double(X): return doubled(X)
def words(text): return text.split()
def kept(text): return text.lower()
def scored(y, p): return -float(np.abs(y - p).mean())

class Mean(RegressorMixin, BaseEstimator):
    def fit(self, X, y): self.mean_ = float(np.mean(y)); return self
    def predict(self, X): return np.full(len(X), self.mean_)
"""
PROJECT = """
from __future__ import annotations
import dataclasses, enum, functools
import fairway as fw
import numpy as np
import pandas as pd
import flat
from pack.features import Doubler, Mean, double, kept, scored, words
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer

class Wrapper:
    def __init__(self, inner, scale=1.0): self.inner, self.scale = inner, scale
    def predict(self, X): return self.inner.predict(X) * self.scale
class Scaled(Ridge):
    def predict(self, X): return super().predict(X) * 2
class Outer:
    class Inner:
        def predict(self, X): return np.asarray(X)[:, 0] + 1.0
@dataclasses.dataclass
class Plain:
    factor: float
    def predict(self, X): return np.asarray(X)[:, 0] * self.factor
class Mode(enum.Enum):
    TWICE = 2.0
class WithMode:
    def __init__(self, mode): self.mode = mode
    def predict(self, X): return np.asarray(X)[:, 0] * self.mode.value
@functools.lru_cache
def factor(n): return n * 2.0
class Caching:
    def __init__(self): self.factor = factor
    def predict(self, X): return np.asarray(X)[:, 0] * self.factor(3)
def times(X, n): return np.asarray(X) * n
def closing(n):
    def inner(X):
        from flat import tripled
        return tripled(X) * n
    return inner
def local_class():
    class Local:
        def predict(self, X): return flat.tripled(np.asarray(X))[:, 0]
    return Local()

@fw.task
def train(): return None

@fw.pipeline
def shop(): return train()

def step(function): return make_pipeline(FunctionTransformer(function), Ridge())
X = pd.DataFrame({"a": np.arange(8.0), "b": np.arange(8.0) ** 2})
y = X.a
TEXTS = ["aa bb", "bb cc"] * 4
MODELS = {
    "class of a package": make_pipeline(Doubler(), Ridge()).fit(X, y),
    "function of a package": step(double).fit(X, y),
    "function of a module": step(flat.tripled).fit(X, y),
    "function of a module by the module": step(lambda X: flat.tripled(X)).fit(X, y),
    "partial": step(functools.partial(times, n=3)).fit(X, y),
    "closure": step(closing(2)).fit(X, y),
    "lambda": step(lambda X: np.asarray(X) + 1).fit(X, y),
    "union": make_pipeline(FeatureUnion([("d", Doubler()), ("f", FunctionTransformer(double))]), Ridge()).fit(X, y),
    "columns": make_pipeline(ColumnTransformer([("d", Doubler(), ["a"])], remainder="passthrough"), Ridge()).fit(X, y),
    "voting": VotingRegressor([("a", Mean()), ("b", Ridge())]).fit(X, y),
    "stacking": StackingRegressor([("a", Mean()), ("b", Ridge())], final_estimator=Scaled(), cv=2).fit(X, y),
    "search": GridSearchCV(make_pipeline(Doubler(), Ridge()), {"ridge__alpha": [1, 2]}, cv=2).fit(X, y),
    "scorer": GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2, scoring=make_scorer(scored)).fit(X, y),
    "target": TransformedTargetRegressor(Ridge(), func=double, inverse_func=lambda v: v / 2, check_inverse=False).fit(X, y),
    "class itself": Mean().fit(X, y),
    "wrapper": Wrapper(Wrapper(LinearRegression().fit(X, y)), 3.0),
    "wrapper of a pipeline": Wrapper(make_pipeline(Doubler(), Ridge()).fit(X, y)),
    "subclass": Scaled().fit(X, y),
    "nested class": Outer.Inner(),
    "dataclass": Plain(2.5),
    "enumeration": WithMode(Mode.TWICE),
    "bound method": Wrapper(type("Calls", (), {"predict": staticmethod(lambda X: np.asarray(X)[:, 1])})()),
    "cached function": Caching(),
    "generic function of a module": make_pipeline(FunctionTransformer(flat.generic), Ridge()).fit(X, y),
    "local class": local_class(),
}
SAMPLES = {name: X for name in MODELS}
for name, vectorizer in {
    "tokenizer": CountVectorizer(tokenizer=words, token_pattern=None),
    "analyzer": CountVectorizer(analyzer=words),
    "preprocessor": TfidfVectorizer(preprocessor=kept),
}.items():
    MODELS[name], SAMPLES[name] = make_pipeline(vectorizer, Ridge()).fit(TEXTS, y), TEXTS
"""
MORE = """
try:
    import torch
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(2, 1)
        def forward(self, x): return flat.tripled(self.line(x))
    torch.manual_seed(0)
    MODELS["torch module"], SAMPLES["torch module"] = Net().eval(), X.to_numpy("float32")
except ImportError:
    pass
try:
    import xgboost
    def objective(y, p): return p - y, np.ones_like(p)
    MODELS["xgboost objective"] = xgboost.XGBRegressor(objective=objective, n_estimators=3).fit(X, y)
    class Boosted(xgboost.XGBRegressor): pass
    MODELS["xgboost subclass"] = Boosted(n_estimators=3).fit(X, y)
except ImportError:
    pass
try:
    import lightgbm
    def loss(y, p): return p - y, np.ones_like(p)
    MODELS["lightgbm objective"] = lightgbm.LGBMRegressor(objective=loss, n_estimators=3, min_child_samples=1).fit(X, y)
except ImportError:
    pass
SAMPLES = {name: SAMPLES.get(name, X) for name in MODELS}
"""
MAKE = """
import sys
from pathlib import Path
import msgspec
from fairway import formats
from fairway.author import describe
from fairway.formats.models import package
from fairway.runner import carrying, registering
from fairway.runner.proof import Order
from fairway.runner.values import Values
from fairway.spec.model import Candidate
from fairway.stores import FileArtifacts, Layout

module = describe.load(sys.argv[1])
Layout(Path(sys.argv[2])).prepare()
values = Values(FileArtifacts(Path(sys.argv[2])))
orders = []
for name, model in module.MODELS.items():
    candidate = Candidate(name=name, artifact=values.save(model))
    seen = package._examine(model, module.SAMPLES[name])
    samples = values.put("samples", formats.encode_samples(seen.inputs, seen.outputs), "samples")
    candidate = msgspec.structs.replace(candidate, signature=seen.signature, samples=samples)
    needs = carrying.needs_of(model, candidate.artifact.format)
    whole = len(sys.argv) > 4
    forms = list(registering._forms(candidate, model, needs, values))
    orders.append(Order(forms[-1 if whole else 0], sys.argv[2]))
Path(sys.argv[3]).write_bytes(msgspec.json.encode(orders))
"""
ANSWER = """
import sys
from pathlib import Path
import msgspec
from fairway.runner.proof import Order, examine

orders = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=list[Order])
found = {order.candidate.name: examine(order).problem for order in orders}
Path(sys.argv[2]).write_bytes(msgspec.json.encode(found))
"""


class Carried(msgspec.Struct):
    """What came of the models of a project: each as it was kept, and why it cannot be served."""

    kept: dict[str, Candidate]
    problems: dict[str, str]


def python(code: str, *words: object, cwd: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, words)],
        cwd=cwd, env=kept, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def carry(tmp_path: Path, *words: str) -> Carried:
    store, elsewhere, orders = tmp_path / "store", tmp_path / "elsewhere", tmp_path / "orders.json"
    elsewhere.mkdir()
    python(MAKE, tmp_path / "project" / "main.py", store, orders, *words, cwd=elsewhere)
    (tmp_path / "project").rename(tmp_path / "gone")
    python(ANSWER, orders, tmp_path / "answers.json", cwd=elsewhere)
    made = msgspec.json.decode(orders.read_bytes(), type=list[Order])
    return Carried(
        {order.candidate.name: order.candidate for order in made},
        msgspec.json.decode((tmp_path / "answers.json").read_bytes()),
    )


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Carried:
    tmp_path = tmp_path_factory.mktemp("carried")
    flat = (
        "import functools\ndef tripled(X): return X * 3\n"
        "@functools.singledispatch\ndef generic(X): return X * 3\n"
    )
    write(
        tmp_path / "project", main=PROJECT + MORE, flat=flat, unused="", pack__init="", pack__unused="",
        pack__features=FEATURES, pack__shared="def doubled(X): return X * 2\n", pack__late="def one(): return 1\n",
    )  # fmt: skip
    return carry(tmp_path)


def test_every_kind_of_model_that_holds_code_of_the_project_is_served_without_it(carried: Carried) -> None:
    assert {name: problem for name, problem in carried.problems.items() if problem} == {}
    assert len(carried.problems) >= 28


def test_what_travels_is_the_source_of_the_modules_that_the_model_needs_and_no_more(carried: Carried) -> None:
    sources = {name: [file.path for file in kept.sources] for name, kept in carried.kept.items()}
    package = ["pack/__init__.py", "pack/features.py", "pack/late.py", "pack/shared.py"]
    assert sources["class of a package"] == package
    assert sources["function of a module"] == ["flat.py"]
    assert sources["subclass"] == ["flat.py", "main.py", *package]
    assert sources["lambda"] == []


def test_what_has_no_name_in_its_module_travels_inside_the_model_and_is_named(carried: Carried) -> None:
    assert carried.kept["lambda"].inside == ("main.<lambda>",)
    assert carried.kept["local class"].inside == ("main.local_class.<locals>.Local",)
    assert carried.kept["class of a package"].inside == ()


def test_models_of_a_file_that_cannot_be_imported_elsewhere_take_along_what_they_hold(tmp_path: Path) -> None:
    read = "import numpy as np\nfrom pathlib import Path\nROWS = Path(__file__).with_name('rows.csv').read_text()\n"
    model = "def double(X): return times(X, 2)\ndef times(X, n): return np.asarray(X) * n\n"
    text = "from sklearn.pipeline import make_pipeline\nfrom sklearn.linear_model import Ridge\n" \
        "from sklearn.preprocessing import FunctionTransformer\nX = np.ones((4, 2))\n" \
        "MODELS = {'reads': make_pipeline(FunctionTransformer(double), Ridge()).fit(X, X[:, 0])}\n" \
        "SAMPLES = {'reads': X}\n"  # fmt: skip
    write(tmp_path / "project", main=read + model + text)
    (tmp_path / "project" / "rows.csv").write_text("1")
    made = carry(tmp_path, "whole")
    assert made.problems == {"reads": ""}
    assert made.kept["reads"].inside == ("main.double",)
    assert made.kept["reads"].sources == ()
