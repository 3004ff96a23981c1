"""Models as the registry and the server know them: versions, aliases, signatures, lineage and gates."""

from typing import Literal

import msgspec

from fairway.spec.artifact import Artifact, FileEntry
from fairway.spec.errors import UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.quantities import whole_number

Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
"""Element types of the Open Inference Protocol v2."""


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A named input or output. `shape` starts with −1, which is the batch. Other −1 are free dimensions."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = (-1,)


FeatureKind = Literal["", "category", "datetime", "date", "time", "duration", "period"]
"""The meaning of a feature's values, if the element type does not give it. "" is a plain value."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """The facts about a column, beside its element type, that are needed to give a model the column it was trained on.

    They are read from the whole sample, so a request never decides them.

    Attributes:
        name: the column, or the input when the sample had no columns.
        kind: the meaning of the values. Dates, times, durations and periods are texts in ISO 8601 in a request. A
            category is one of `categories`.
        dtype: the column's type in its table library, such as "datetime64[us, Europe/Berlin]" or "Int64". For a
            category it is the type of the categories. It is empty for the type that the library itself gives to such
            values.
        categories: all categories in the order of their codes. For a plain value, the values that the model takes.
        ordered: True when the categories have an order.
        unknown: the treatment of a value outside `categories`. It becomes a missing value, is kept for the model to
            judge, or is refused because the model fails on it.
        nullable: True when the sample has missing values in this column, so that requests may have them too.
        blank: True when a missing value of a column of objects is None and not NaN.
        label: the column's name when it is a number.
    """

    name: str
    kind: FeatureKind = ""
    dtype: str = ""
    categories: tuple[str | int | float | bool, ...] = ()
    ordered: bool = False
    unknown: Literal["missing", "kept", "refused"] = "missing"
    nullable: bool = False
    blank: bool = False
    label: int | None = None


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs and outputs of a model.

    Attributes:
        layout: "tensor" for one array `(rows, features)`; "columns" for one input of shape `(rows,)` per column of a
            table.
        inputs: the inputs.
        outputs: the outputs. The first is the prediction itself, and "probabilities" of a classifier follow.
        columns: the names of the features in order, if the sample was a table. For layout "tensor" they name the
            second dimension of the one input.
        classes: a classifier's labels as JSON values, in the order of the probabilities.
        features: facts about columns that go beyond their element type.
        table: the library of the sample's table, "pandas" or "polars". It is empty for other samples.
    """

    layout: Literal["tensor", "columns"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: tuple[str, ...] = ()
    classes: tuple[str | int | float | bool, ...] = ()
    features: tuple[Feature, ...] = ()
    table: str = ""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of a model, by digests.

    Attributes:
        run: the run that registered it.
        step: the step that registered it.
        producer: the step whose output the model is.
        code: the project's source.
        environment: the interpreter and the installed distributions.
        data: digests of the inputs of the step that made the model.
        parameters: the parameters of the run.
    """

    run: str
    step: str
    producer: str = ""
    code: str = ""
    environment: str = ""
    data: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    parameters: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions for a registration: bounds by metric name, and the alias whose version must be beaten.

    A version that beats the version of `better_than` gets that alias. The first version gets it too.
    """

    at_least: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    at_most: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    better_than: str = ""
    metric: str = ""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A packaged model, before the gates and before it has a number.

    Attributes:
        artifact: the model in its native format.
        compiled: the same model as ONNX, which is kept only when it reproduced the samples.
        compile_note: the reason why there is no compiled form, or how close it came ("max difference below 1e-05").
        samples: up to 32 input rows with the model's outputs, format "samples".
        framework: the framework with its version, such as "scikit-learn 1.9.1".
        sources: the project's source files that travel with the model, `artifact.code` by name.
        inside: classes and functions of the project that travel in the model's own content, by name.
    """

    name: str
    artifact: Artifact
    signature: Signature | None = None
    compiled: Artifact | None = None
    compile_note: str = ""
    samples: Artifact | None = None
    sample_rows: int = 0
    evaluation: Evaluation | None = None
    framework: str = ""
    description: str = ""
    gates: Gates = Gates()
    aliases: tuple[str, ...] = ()
    sources: tuple[FileEntry, ...] = ()
    inside: tuple[str, ...] = ()


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A registered, immutable version of a model. `version` counts from 1 without gaps; 0 is not registered.

    `created` is the time in seconds since the epoch, UTC.
    """

    name: str
    version: int
    candidate: Candidate
    lineage: Lineage
    created: float = 0.0

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation that the version was registered with."""
        return self.candidate.evaluation

    @property
    def signature(self) -> Signature | None:
        """The inputs and outputs of the model. None for a version that was registered without a sample."""
        return self.candidate.signature

    @property
    def can_be_served(self) -> bool:
        """True when the inputs are known, from the signature or because the model is ONNX and declares them itself."""
        return self.signature is not None or self.candidate.artifact.format == "onnx"

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else f"{self.name} (not registered)"


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a list: its newest version and its aliases."""

    name: str
    newest: ModelVersion
    versions: int
    aliases: dict[str, int] = msgspec.field(default_factory=dict[str, int])


_DIGITS = 18
"""The largest number of digits of a version. A column of a database holds no longer number."""


class Reference(msgspec.Struct, frozen=True):
    """The name of a version as people write it: "churn" for the newest, "churn:3" or "churn@champion".

    Attributes:
        model: the name of the model.
        mark: ":" before a number, "@" before an alias, and empty for the newest.
        rest: the text after the mark.
    """

    model: str
    mark: str = ""
    rest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference. Raises UsageError."""
        mark = next((found for found in "@:" if found in text), "")
        model, _, rest = text.partition(mark) if mark else (text, "", "")
        if (mark and not rest) or (mark == ":" and not (rest.isdecimal() and len(rest) <= _DIGITS)):
            raise UsageError(
                f"{text[:100]!r} does not name a version",
                hint='write "churn", "churn:3" or "churn@champion"',
            )
        return cls(model, mark, rest)

    @property
    def number(self) -> int:
        """The number in the reference, or 0 when there is none."""
        return whole_number(self.rest) or 0 if self.mark == ":" else 0
