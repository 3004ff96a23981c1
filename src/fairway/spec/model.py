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
    """One named input or output. `shape` starts with −1, the batch; other −1 are free dimensions."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = (-1,)


FeatureKind = Literal["", "category", "datetime", "date", "time", "duration", "period"]
"""What the values of a feature mean, where the element type does not say it; "" is a plain value."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """What must be known of one column, beside its element type, to give a model the column it was trained on.

    It is read from the whole sample, so a request never decides it.

    Attributes:
        name: the column, or the input where the sample had no columns.
        kind: dates, times, durations and periods are texts in ISO 8601 in a request; a category is one of `categories`.
        dtype: the column's type in its table library, such as "datetime64[us, Europe/Berlin]" or "Int64"; of a category,
            the type of the categories. Empty for the type that the library gives such values by itself.
        categories: all categories in the order of their codes; of a plain value, those that the model takes.
        ordered: whether the categories have an order.
        unknown: what happens to a value that is not among `categories`: it becomes a missing one, is kept as it is for
            the model to judge, or is refused because the model fails on it.
        nullable: whether the sample has missing values in this column, so that requests may have them too.
        blank: whether a missing value of a column of objects is None rather than NaN.
        label: the column's name where it is a number.
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
    """What a model takes and gives.

    Attributes:
        layout: "tensor" for one array `(rows, features)`; "columns" for one input of shape `(rows,)` per column of a
            table.
        columns: names of the features in order, where the sample was a table; for layout "tensor" they name the
            second dimension of the one input.
        outputs: the first output is the prediction itself; a classifier's probabilities follow as "probabilities".
        classes: a classifier's labels as JSON values, in the order of the probabilities.
        features: of the columns of which more must be known than their element type.
        table: the library of the sample's table, "pandas" or "polars"; empty when the sample was no such table.
    """

    layout: Literal["tensor", "columns"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    columns: tuple[str, ...] = ()
    classes: tuple[str | int | float | bool, ...] = ()
    features: tuple[Feature, ...] = ()
    table: str = ""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model came from, all by digest.

    Attributes:
        code: the project's source.
        environment: the interpreter and installed distributions.
        data: digests of the inputs of the step that made the model.
        producer: the step whose output the model is; `step` is the one that registered it.
    """

    run: str
    step: str
    producer: str = ""
    code: str = ""
    environment: str = ""
    data: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    parameters: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions for registering: metric name to bound, and the alias whose version must be beaten.

    A version that beats the one `better_than` names takes that alias; so does the first version.
    """

    at_least: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    at_most: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    better_than: str = ""
    metric: str = ""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A packaged model, before the gates and before it has a number.

    Attributes:
        artifact: the model itself in its native format.
        compiled: the same model as ONNX, kept only when it reproduced the samples.
        compile_note: why there is no compiled form, or how close it came ("max difference 2e-7").
        samples: up to 32 input rows with the outputs the model gave, format "samples".
        framework: such as "scikit-learn 1.9.1".
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
    """One registered, immutable version of a model. `version` counts from 1 without gaps; 0 is not registered.

    `created` is seconds since the epoch, UTC.
    """

    name: str
    version: int
    candidate: Candidate
    lineage: Lineage
    created: float = 0.0

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation it was registered with."""
        return self.candidate.evaluation

    @property
    def signature(self) -> Signature | None:
        """What the model takes and gives; None when it was registered without a sample."""
        return self.candidate.signature

    @property
    def can_be_served(self) -> bool:
        """Whether it is known what it takes: by the signature of its sample, or because ONNX says so itself."""
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
"""No version has a longer number, and no column of a database holds one."""


class Reference(msgspec.Struct, frozen=True):
    """How people name a version: "churn" for the newest, "churn:3" or "churn@champion".

    Attributes:
        mark: ":" before a number, "@" before an alias; empty for the newest.
        rest: what stands after the mark.
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
        """The number that it names; 0 when it names none."""
        return whole_number(self.rest) or 0 if self.mark == ":" else 0
