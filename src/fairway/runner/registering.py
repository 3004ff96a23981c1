"""The built-in step of `fw.register`. It turns a trained model into a candidate that the engine can judge and publish.

It runs isolated like any step, so a model or a compiler that crashes on the sample harms nothing else. A model that will not
be served as ONNX is tried in a process without the project before it becomes a candidate.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec

from fairway import formats
from fairway.runner import carrying
from fairway.runner.carrying import Needs
from fairway.runner.proof import Proof, prove
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact, sources_of
from fairway.spec.errors import FairwayError, SerializationError, UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.host import StorePlace
from fairway.spec.model import Candidate, Gates
from fairway.spec.wire import Start


def package(start: Start, values: Values, arguments: dict[str, object], store: StorePlace) -> Candidate:
    """Return a candidate with its signature, its samples and the code of the project that it needs.

    The candidate has a compiled form as well if that form reproduces the samples.

    Args:
        start: the order of the step.
        values: stores and loads values.
        arguments: the arguments of `fw.register`, by name.
        store: the place of the store behind `values`.

    Raises:
        UsageError: the evaluation has another type, or the model cannot predict its own sample.
        FairwayError: a process without the project cannot serve the model.
    """
    name = cast("str", arguments["name"])
    evaluation = arguments["evaluation"]
    if evaluation is not None and not isinstance(evaluation, Evaluation):
        raise UsageError(
            f"register: evaluation is a {type(evaluation).__name__}",
            hint="pass what `fw.evaluate(…)` returns",
        )
    given = start.inputs["model"]
    model = arguments["model"]
    formats.refuse_data(model)
    candidate = Candidate(
        name=name,
        artifact=given if isinstance(given, Artifact) else values.save(model),
        evaluation=evaluation,
        framework=formats.describe_model(model),
        description=cast("str", arguments["description"]),
        gates=cast("Gates", arguments["gates"]),
        aliases=tuple(cast("list[str]", arguments["aliases"])),
        compile_note="no sample was given, so nothing can be checked",
    )
    sample = arguments["sample"]
    if sample is not None:
        candidate = _with_sample(candidate, model, sample, values)
    return _carried(candidate, model, values, store)


def _with_sample(candidate: Candidate, model: object, sample: object, values: Values) -> Candidate:
    package = formats.package_model(model, sample)
    compiled = None if package.compiled is None else values.put("onnx", package.compiled, "onnx.ModelProto")
    return msgspec.structs.replace(
        candidate,
        signature=package.signature,
        samples=values.put("samples", package.samples, "samples"),
        sample_rows=package.rows,
        compiled=compiled,
        compile_note=package.note,
    )


def _carried(candidate: Candidate, model: object, values: Values, store: StorePlace) -> Candidate:
    """Return the candidate with the code of the project that it needs. Raises FairwayError.

    A model that a server would load in this form is tried first. The readable form is preferred: the model as it is stored,
    with the source files beside it. If those do not make the model again, the code is written into the model itself.
    """
    needs = carrying.needs_of(model, candidate.artifact.format)
    served_as_it_is = candidate.samples is not None and candidate.compiled is None
    first = Proof()
    for form in _forms(candidate, model, needs, values):
        if not served_as_it_is:
            return form
        proof = prove(form, store, _folders(needs))
        if not proof.problem:
            return form
        first = first if first.problem else proof
    if not first.problem:
        first = Proof(f"{', '.join(needs.changed)} was changed while the run was under way")
    raise _refused(first, needs)


def _forms(candidate: Candidate, model: object, needs: Needs, values: Values) -> Iterator[Candidate]:
    """Yield the forms in which the model can be kept, the best one first."""
    replace = msgspec.structs.replace
    if candidate.artifact.code:
        yield replace(
            candidate, sources=carrying.entries(cast("Path", values.open(sources_of(candidate.artifact))))
        )
        return
    if not needs.held:
        yield replace(candidate, inside=needs.inside)
        return
    if not needs.changed:
        yield _with_sources(candidate, needs, values)
    wider = needs.widened()
    if not wider.changed and len(wider.files) > len(needs.files):
        yield _with_sources(candidate, wider, values)
    modules = [sys.modules[name] for name in wider.files if name in sys.modules]
    try:
        whole = values.save_by_value(model, modules)
    except SerializationError:
        return
    yield replace(candidate, artifact=whole, inside=tuple(sorted({*needs.held, *needs.inside})))


def _with_sources(candidate: Candidate, needs: Needs, values: Values) -> Candidate:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="fairway-") as name:
        carrying.write(needs, Path(name))
        digest = values.save_sources(Path(name))
        sources = carrying.entries(Path(name))
    artifact = msgspec.structs.replace(candidate.artifact, code=digest)
    return msgspec.structs.replace(candidate, artifact=artifact, sources=sources, inside=needs.inside)


def _folders(needs: Needs) -> list[Path]:
    """Return the folders from which the modules are imported."""
    return [
        path.parents[name.count(".") + (path.name == "__init__.py")] for name, path in needs.files.items()
    ]


def _refused(proof: Proof, needs: Needs) -> FairwayError:
    names = [*needs.held, *needs.inside]
    if not names:
        return FairwayError(
            f"the model cannot be served, because a fresh process cannot use it: {proof.problem}",
            hint="register it without `sample=` to keep it for steps of this project, or give it a form that can be served",
        )
    told = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return FairwayError(
        f"the model holds {told}, and a process without this project cannot use it: {proof.problem}",
        hint="define it in a module that reads no file and starts nothing when it is imported, "
        "or register without `sample=` to keep the model for steps of this project",
    )
