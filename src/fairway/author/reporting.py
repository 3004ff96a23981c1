"""The words called inside tasks and pipelines: `log`, `show`, `register`, and the inside of `model`."""

import math
from collections.abc import Callable, Sequence
from typing import cast

from fairway.author.ref import Ref, value
from fairway.author.session import Session, current, is_ref
from fairway.author.task import as_refs
from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import Candidate, Gates, Lineage, ModelVersion
from fairway.spec.names import check_registered
from fairway.spec.run import MetricPoint, StepSpec
from fairway.spec.wire import REGISTER

__all__ = ["REGISTER", "log", "model", "register", "show"]


def log(*, step: float | None = None, **metrics: float) -> None:
    """Keep metric values of the current step, or of the run when the pipeline itself logs them.

    Outside a run it does nothing.

    Args:
        step: the place on the horizontal axis, such as an epoch. Without it, values are counted.
        metrics: numbers by name.

    Raises:
        UsageError: a value is not a number.
    """
    index = math.nan if step is None else _number("log", "step", step)
    points = [
        MetricPoint(name=name, value=_number("log", name, number), index=index)
        for name, number in metrics.items()
    ]
    session = current()
    if session is not None and points:
        session.log(tuple(points))


def show(picture: object, *, title: str = "") -> None:
    """Keep a figure, table or SVG text with the current step, or with the run when the pipeline itself shows it.

    `fairway show` lists what was kept. Outside a run it does nothing.

    Args:
        picture: a matplotlib figure, a data frame, an evaluation, SVG text, or an object with `_repr_svg_`. Anything
            else is kept as text. SVG that does more than draw, such as run scripts or load from elsewhere, is kept as
            text too.
        title: the title in the list. The default is the name of the picture's type.
    """
    session = current()
    if session is not None:
        shown = value(picture)
        session.show(title or type(shown).__name__, shown)


def register(
    name: str,
    model: object,
    *,
    evaluation: Evaluation | None = None,
    sample: object = None,
    at_least: dict[str, float] | None = None,
    at_most: dict[str, float] | None = None,
    better_than: str = "",
    metric: str = "",
    alias: str | Sequence[str] = (),
    description: str = "",
) -> ModelVersion:
    """Register a model as the next version of `name`, if it passes the gates. Call it in a pipeline.

    The version keeps the evaluation, its lineage, a signature, and up to 32 rows of `sample` with the model's
    outputs. Every server of the version must reproduce these outputs. The model is compiled to ONNX if the compiled
    model reproduces them too.

    Args:
        name: the name of the registered model.
        model: the model, usually the result of a task.
        evaluation: the evaluation that the gates look at.
        sample: rows that the model can predict: a data frame, an array or a list.
        at_least: lower bounds of metrics of the evaluation, such as {"accuracy": 0.85}.
        at_most: upper bounds of metrics of the evaluation.
        better_than: an alias such as "champion". The new version must be better in `metric` than the version of this
            alias, and the alias then moves to the new version.
        metric: the metric that `better_than` compares. The default is the first metric with a bound, or else the
            evaluation's main metric.
        alias: further aliases for this version.
        description: a text for people.

    Returns:
        the new version.

    Raises:
        StepFailed: a gate was not met and nothing was registered. It is raised where the result is used.
        UsageError: a name or bound does not have the form it must have, or gates are given without an evaluation.
    """
    gates = Gates(
        at_least=_bounds("at_least", at_least),
        at_most=_bounds("at_most", at_most),
        better_than=better_than,
        metric=metric,
    )
    aliases = ((alias,) if alias else ()) if isinstance(alias, str) else tuple(alias)
    check_registered(name, *aliases, *([better_than] if better_than else []))
    if (gates.at_least or gates.at_most or better_than) and evaluation is None:
        raise UsageError("register: gates need an evaluation", hint="pass `evaluation=fw.evaluate(…)`")
    if not is_ref(evaluation) and not isinstance(cast("object", evaluation), Evaluation | None):
        raise UsageError(
            f"register: evaluation={evaluation!r} is not an evaluation",
            hint="pass `evaluation=fw.evaluate(…)`",
        )
    session = current()
    if session is None or not session.pipeline:
        if session is not None:
            raise UsageError(
                "register is called inside a task",
                hint="call `fw.register` in the pipeline, on the task's result",
            )
        return _unregistered(name, evaluation, gates)
    arguments: dict[str, object] = {
        "name": name, "model": model, "evaluation": evaluation, "sample": sample, "gates": gates,
        "aliases": list(aliases), "description": description,
    }  # fmt: skip
    spec = StepSpec(name="", task=REGISTER, inputs={}, label=name)
    return cast("ModelVersion", as_refs(session, session.call(spec, arguments), 0))


def _bounds(which: str, bounds: dict[str, float] | None) -> dict[str, float]:
    """Return the bounds as numbers by name. Raises UsageError."""
    if bounds is None:
        return {}
    if not isinstance(value(cast("object", bounds)), dict):
        raise UsageError(
            f"register: {which}={bounds!r} is not a dict", hint=f'`{which}={{"accuracy": 0.85}}`'
        )
    return {str(name): _number(f"register: {which}", name, bound) for name, bound in bounds.items()}


def _number(what: str, name: str, number: object) -> float:
    """Return a value as a float. Raises UsageError when it is not a number."""
    try:
        return float(cast("float", value(number)))
    except (TypeError, ValueError):
        raise UsageError(f"{what}: {name}={number!r} is not a number") from None


def _unregistered(name: str, evaluation: Evaluation | None, gates: Gates) -> ModelVersion:
    """Return the version that a call outside a run gives: it has the number 0 and is kept nowhere."""
    candidate = Candidate(
        name=name,
        artifact=Artifact(format="none", digest="", size=0),
        evaluation=value(evaluation),
        gates=gates,
    )
    return ModelVersion(name=name, version=0, candidate=candidate, lineage=Lineage(run="", step=""))


def model(reference: str, outside: Callable[[], Session]) -> object:
    """Return a registered model as a `Ref`.

    Args:
        reference: a name with a version or alias, such as "churn@champion".
        outside: opens the project's store, for a process that belongs to no run.

    Raises:
        UsageError: the reference is empty or not a text.
        NotFound: there is no such model, version or alias.
    """
    if not isinstance(cast("object", reference), str) or not reference:
        raise UsageError(f"{reference!r} names no model", hint='such as `fw.model("churn@champion")`')
    session = current()
    if session is None:
        # Look it up when it is used: a file that names a model at its top may be imported before the model exists.
        return Ref(Artifact(format="none", digest="", size=0), lambda: _loaded(reference, outside))
    version, load = session.model(reference)
    return Ref(version.candidate.artifact, cast("Callable[[], object]", load))


def _loaded(reference: str, outside: Callable[[], Session]) -> object:
    """Load a registered model, from the run's store inside a run and from the project's store outside."""
    session = current() or outside()
    return cast("Callable[[], object]", session.model(reference)[1])()
