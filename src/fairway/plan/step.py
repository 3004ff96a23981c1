"""A step as decisions about its run see it: its call, its attempts so far, what it waits for, what it left."""

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.places import Place
from fairway.spec.quantities import Resources
from fairway.spec.run import ONE_CORE, Failure, Phase, StepSpec

_encode = msgspec.msgpack.Encoder().encode
_unpack_call = msgspec.msgpack.Decoder(StepSpec).decode
_unpack_outputs = msgspec.msgpack.Decoder(tuple[Artifact, ...]).decode


class StepState:
    """One step as the run sees it.

    `attempt` is the number of the last one begun; `faults` and `losses` count attempts that failed by the user's
    code and by ours; `waiting` counts inputs that are not there yet. `looking` and `running` are true between
    LookUp and its answer, and between Begin and the attempt's end. `places` are those where it may run, `at` is the one
    where it does; `turn` is its number among the steps that became ready.
    Call and outputs are kept packed, in a fraction of the memory: a run may have many thousands of steps, and most of
    them wait or are over.
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
        self.running = False
        self.waiting = 0
        self.turn = 0
        self.places = places
        self.at: Place | None = None
        self.dependents: list[str] | None = None

    @property
    def spec(self) -> StepSpec:
        """The call."""
        call = _unpack_call(self._call)
        return msgspec.structs.replace(call, name=self.name, resources=self.resources)

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """What it left; nothing before it has succeeded."""
        return _unpack_outputs(self._left) if self._left else ()

    def end(self, phase: Phase, outputs: tuple[Artifact, ...], failure: Failure | None) -> None:
        """It is over."""
        self.phase, self.failure = phase, failure
        self._left = _pack(outputs) if outputs else b""


class Recorded(msgspec.Struct, frozen=True):
    """What an earlier try at the same run left of a step.

    Attributes:
        outputs: None when it has to run again.
        settled: whether the log says that it ended; otherwise only its attempt's own record does.
        running: number of an attempt that was seen to run still; 0 when none was.
        place: where that attempt runs.
    """

    spec: StepSpec
    attempts: int
    outputs: tuple[Artifact, ...] | None = None
    settled: bool = True
    running: int = 0
    place: str = ""


def _pack(kept: object) -> bytes:
    """Packed into no more memory than it needs: the encoder's own answer has up to half as much room again."""
    return bytes(memoryview(_encode(kept)))
