"""The state of a step for decisions about its run: its call, its attempts, its missing inputs and its outputs."""

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.places import Place
from fairway.spec.quantities import Resources
from fairway.spec.run import ONE_CORE, Failure, Phase, StepResult, StepSpec

_encode = msgspec.msgpack.Encoder().encode
_unpack_call = msgspec.msgpack.Decoder(StepSpec).decode
_unpack_outputs = msgspec.msgpack.Decoder(tuple[Artifact, ...]).decode


class StepState:
    """The state of a step of a run.

    Call and outputs are kept packed, in a fraction of the memory: a run may have many thousands of steps, and most of
    them wait or are over.

    Attributes:
        attempt: the number of the last attempt that was begun.
        faults: the number of attempts that failed because of the user's code.
        losses: the number of attempts that failed because their host was lost.
        waiting: the number of inputs that are not there yet.
        looking: True between `LookUp` and its answer.
        running: True between `Begin` and the end of the attempt.
        given_up: the reason why the pipeline does not need the step any more. None while it does.
        places: the places where the step may run.
        at: the place where it runs.
        turn: the number of the step among the steps that became ready.
    """

    __slots__ = (
        "_call",
        "_left",
        "at",
        "attempt",
        "cache",
        "dependents",
        "failure",
        "faults",
        "given_up",
        "looking",
        "losses",
        "name",
        "phase",
        "places",
        "resources",
        "retries",
        "running",
        "several",
        "turn",
        "waiting",
    )

    def __init__(self, spec: StepSpec, resources: Resources, places: tuple[Place, ...]) -> None:
        self._call = _pack(msgspec.structs.replace(spec, name="", resources=ONE_CORE))
        self._left = b""
        self.name = spec.name
        self.resources = resources
        self.cache = spec.cache
        self.retries = spec.retries
        self.several = spec.outputs > 0
        self.phase = Phase.PENDING
        self.failure: Failure | None = None
        self.attempt = 0
        self.faults = 0
        self.losses = 0
        self.looking = False
        self.given_up: Failure | None = None
        self.running = False
        self.waiting = 0
        self.turn = 0
        self.places = places
        self.at: Place | None = None
        self.dependents: list[str] | None = None

    @property
    def spec(self) -> StepSpec:
        """The call of the step."""
        call = _unpack_call(self._call)
        return msgspec.structs.replace(call, name=self.name, resources=self.resources)

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """The outputs of the step. They are empty before it has succeeded."""
        return _unpack_outputs(self._left) if self._left else ()

    def end(self, phase: Phase, outputs: tuple[Artifact, ...], failure: Failure | None) -> None:
        """End the step."""
        self.phase, self.failure = phase, failure
        self._left = _pack(outputs) if outputs else b""


class Recorded(msgspec.Struct, frozen=True):
    """The record of a step from an earlier try at the same run.

    Attributes:
        outputs: the outputs. None when the step has to run again.
        settled: True when the end of the step is in the log. Otherwise only the record of its attempt shows the end.
        result: the record of the attempt that ended after the log did. None when the log has the end.
        running: the number of an attempt that was seen to run still. It is 0 when there was none.
        place: the name of the place where that attempt runs.
        given_up: the reason why the pipeline gave the step up. None when it did not.
    """

    spec: StepSpec
    attempts: int
    outputs: tuple[Artifact, ...] | None = None
    settled: bool = True
    result: StepResult | None = None
    running: int = 0
    place: str = ""
    given_up: Failure | None = None


def _pack(kept: object) -> bytes:
    """Return an encoding that takes only the memory it needs. The encoder's own result has up to half as much spare."""
    return bytes(memoryview(_encode(kept)))
