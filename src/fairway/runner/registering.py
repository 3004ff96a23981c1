"""The built-in step behind `fw.register`: turns a trained model into a candidate that the engine can judge and publish.

It runs isolated like any step, so a model that crashes on its sample, or a compiler that does, harms nothing else.
"""

from typing import cast

import msgspec

from fairway import formats
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.model import Candidate, Gates
from fairway.spec.wire import Start


def package(start: Start, values: Values, arguments: dict[str, object]) -> Candidate:
    """A candidate with signature, samples and, where it reproduces them, a compiled form.

    Raises:
        UsageError: the evaluation is not one, or the model cannot predict its own sample.
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
    artifact = given if isinstance(given, Artifact) else values.save(model)
    if artifact.format == "pickle":
        artifact = values.save_portable(model)
    candidate = Candidate(
        name=name,
        artifact=artifact,
        evaluation=evaluation,
        framework=formats.describe_model(model),
        description=cast("str", arguments["description"]),
        gates=cast("Gates", arguments["gates"]),
        aliases=tuple(cast("list[str]", arguments["aliases"])),
        compile_note="no sample was given, so nothing can be checked",
    )
    sample = arguments["sample"]
    return candidate if sample is None else _with_sample(candidate, model, sample, values)


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
