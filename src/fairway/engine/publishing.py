"""Models of a run: the versions that its steps packaged are published, and the references of its code are resolved."""

import hashlib

import msgspec

from fairway import formats
from fairway.plan import cachekey
from fairway.plan.gates import beside, judge
from fairway.plan.provenance import made_here
from fairway.plan.run import RunState
from fairway.ports import MetadataStore
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.errors import FairwayError, GateRefused, NotFound
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Failure, Reason, RunSpec, StepResult, StepSpec
from fairway.spec.wire import Answer, Ask


class Publisher:
    """The publisher of the packaged models of one run. It gives them their versions."""

    def __init__(self, metadata: MetadataStore, spec: RunSpec, project: ProjectSpec) -> None:
        self._metadata = metadata
        self._spec = spec
        self._project = project

    def publish(self, result: StepResult, content: bytes, state: RunState) -> StepResult:
        """Publish the model that a `register` step packaged, if the gates pass. Return the step's new result.

        `content` is the step's output. Publishing the same step again gives the same version.
        """
        candidate = formats.decode("json", content)
        if not isinstance(candidate, Candidate):
            raise FairwayError(f"{result.step} left no candidate")
        lineage = self._lineage(state.steps[result.step].spec, state)

        def verdict(rival: object) -> None:
            judge(candidate.name, candidate.gates, candidate.evaluation, rival)  # type: ignore[arg-type]

        try:
            version = self._metadata.register(candidate, lineage, verdict, candidate.aliases)
        except FairwayError as error:
            reason = Reason.GATE if isinstance(error, GateRefused) else Reason.RESULT
            failure = Failure(reason=reason, message=error.message, hint=error.hint)
            return msgspec.structs.replace(result, outputs=(), failure=failure)
        return msgspec.structs.replace(result, outputs=(inline_artifact(version, _summary(version)),))

    def _lineage(self, spec: StepSpec, state: RunState) -> Lineage:
        model = spec.inputs["model"]
        producer = model.step if isinstance(model, RefData) else ""
        source = state.steps[producer].spec if producer else None
        data = {
            name: cachekey.digest_of(node, state.resolve)
            for name, node in (source.inputs if source else {}).items()
        }
        return Lineage(
            run=self._spec.name,
            step=spec.name,
            producer=producer,
            code=self._project.source,
            environment=self._project.environment,
            data=data,
            parameters=self._spec.shown,
        )


class Models:
    """The answers to references such as "churn@champion". A reference means the same version for the whole run."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._versions: dict[str, ModelVersion] = {}

    def answer(self, step: str, ask: Ask) -> Answer:
        """Answer the question of a step or of the pipeline for a model."""
        try:
            version = self._versions.get(ask.model)
            if version is None:
                version = self._versions[ask.model] = self._metadata.resolve(ask.model)
        except NotFound as error:
            failure = Failure(reason=Reason.USER, message=error.message, hint=error.hint)
            return Answer(step=step, question=ask.question, failure=failure)
        return Answer(step=step, question=ask.question, model=version, trusted=self._trusts(version))

    def _trusts(self, version: ModelVersion) -> bool:
        """Tell whether a run of this project made the model."""
        run = version.lineage.run
        return made_here(version, self._metadata.events(run=run)) if run else False


def _summary(version: ModelVersion) -> str:
    """Describe a registration in a line: "churn version 4   accuracy 0.912 (at least 0.85)"."""
    evaluation, gates = version.evaluation, version.candidate.gates
    parts = [f"{version.name} version {version.version}"]
    if evaluation is not None:
        low, high = gates.at_least, gates.at_most
        for metric in {**low, **high} or [evaluation.headline]:
            if metric in evaluation.metrics:
                value = evaluation.metrics[metric]
                parts.append(beside(metric, value, at_least=low.get(metric), at_most=high.get(metric)))
    return "   ".join(parts)


def inline_artifact(value: object, note: str = "") -> Artifact:
    """Encode a plain value as an artifact that carries its content, however large."""
    encoded = formats.encode(value, allow_pickle=False)
    data = encoded.data or b""
    return Artifact(
        format=encoded.format,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        kind=encoded.kind,
        note=note or encoded.note,
        inline=data,
    )
