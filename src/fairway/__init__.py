"""Fairway: machine learning on Kubernetes, in Python, and the same on a laptop.

`import fairway as fw` gives the words of a project file. Each word is loaded when it is first used, so that importing this
package costs next to nothing in a step that uses only some.
"""

import importlib

from fairway.spec import VERSION

TYPE_CHECKING = False

if TYPE_CHECKING:
    from fairway.author.cancelling import cancel
    from fairway.author.endpoint import endpoint
    from fairway.author.environment import Environment
    from fairway.author.files import File, Folder, Secret
    from fairway.author.pipeline import pipeline
    from fairway.author.ref import Ref, value
    from fairway.author.reporting import log, register, show
    from fairway.author.task import task
    from fairway.evaluation import evaluate
    from fairway.lookup import load, model, runs
    from fairway.script import deploy, run
    from fairway.spec.errors import FairwayError, StepFailed
    from fairway.spec.evaluation import Evaluation
    from fairway.spec.model import ModelVersion
    from fairway.tuning.search import search

__version__ = VERSION

_HOMES = {
    "cancel": "author.cancelling",
    "endpoint": "author.endpoint",
    "Environment": "author.environment",
    "File": "author.files",
    "Folder": "author.files",
    "Secret": "author.files",
    "pipeline": "author.pipeline",
    "Ref": "author.ref",
    "value": "author.ref",
    "log": "author.reporting",
    "load": "lookup",
    "model": "lookup",
    "runs": "lookup",
    "register": "author.reporting",
    "search": "tuning.search",
    "show": "author.reporting",
    "task": "author.task",
    "evaluate": "evaluation",
    "FairwayError": "spec.errors",
    "StepFailed": "spec.errors",
    "Evaluation": "spec.evaluation",
    "ModelVersion": "spec.model",
    "deploy": "script",
    "run": "script",
}

__all__ = [
    "Environment",
    "Evaluation",
    "FairwayError",
    "File",
    "Folder",
    "ModelVersion",
    "Ref",
    "Secret",
    "StepFailed",
    "cancel",
    "deploy",
    "endpoint",
    "evaluate",
    "load",
    "log",
    "model",
    "pipeline",
    "register",
    "run",
    "runs",
    "search",
    "show",
    "task",
    "value",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fairway' has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"fairway.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
