"""The framed protocol between an engine and its hosts: describe, start, stop, exited, log; call and await from a driver.

A frame is a four-byte big-endian length and a MessagePack message of one of the types below. The same frames pass over
a Unix socket on this machine and over a WebSocket from a pod. A host relays what its children say, adding who said it.
"""

from enum import StrEnum
from typing import cast

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.model import ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Failure, MetricPoint, StepResult, StepSpec, Usage
from fairway.spec.text import legible

PROTOCOL = 2
MAX_FRAME = 64 * 2**20
DRIVER = "pipeline"
"""The step name under which a run's driver is started and logs."""
REGISTER = "register"
"""Task of the built-in step that packages a model."""

LEASE = "FAIRWAY_LEASE"
"""Tells a run that a step starts whose share of the machine it works in."""


class Bind(msgspec.Struct, frozen=True, kw_only=True, tag="bind"):
    """Engine to host: turn a pipeline's command-line texts into values.

    Attributes:
        texts: what was typed, by parameter, as `typed` gives it; a bool flag gives "true" or "false".
        config: path of a JSON or TOML file with further values; what was typed wins.
    """

    pipeline: str
    texts: dict[str, list[bytes]]
    config: str = ""

    def words(self) -> dict[str, list[str]]:
        """The texts as they were typed."""
        return {
            name: [text.decode("utf-8", "surrogatepass") for text in texts]
            for name, texts in self.texts.items()
        }


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Engine to host: fork a child for one attempt of a step, or for the driver.

    Attributes:
        verified: digests written or checked during this run, which need no second check.
        memory: bytes the attempt's processes may use together; 0 is no limit.
        lease: what a run that the attempt starts has to show, to work within the attempt's share of the machine.
        gpus: the devices that the attempt was given, as `CUDA_VISIBLE_DEVICES` takes them.
    """

    run: str
    step: str
    attempt: int
    task: str
    inputs: dict[str, Node]
    outputs: int = 0
    cpu: float = 1.0
    memory: int = 0
    timeout: float = 0.0
    verified: tuple[str, ...] = ()
    lease: str = ""
    gpus: tuple[str, ...] = ()


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """Engine to host: end an attempt; `grace` seconds after a SIGTERM its whole process group is killed."""

    step: str
    attempt: int
    grace: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """Engine to driver: the value of a step it awaited, or of a question; exactly one field is set.

    `trusted` is whether a run of this project made the model, so that its content may run code.
    """

    step: str
    question: int
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    model: ModelVersion | None = None
    trusted: bool = False


class Identify(msgspec.Struct, frozen=True, kw_only=True, tag="identify"):
    """Engine to host: digests of the project's code of these names, which stored values refer to."""

    names: tuple[str, ...]


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """Engine to host: no more work; end every child and exit."""


ToHost = Bind | Start | Stop | Answer | Identify | Quit


class Described(msgspec.Struct, frozen=True, kw_only=True, tag="described"):
    """Host to engine: what the project declares, or why it could not be imported."""

    pid: int
    project: ProjectSpec | None = None
    failure: Failure | None = None
    protocol: int = PROTOCOL


class Bound(msgspec.Struct, frozen=True, kw_only=True, tag="bound"):
    """Host to engine: a pipeline's parameters as values and as people read them, or why they do not fit."""

    parameters: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])
    shown: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    failure: Failure | None = None


class Identified(msgspec.Struct, frozen=True, kw_only=True, tag="identified"):
    """Host to engine: the digest of each name, as the code is now; empty for code that cannot be found."""

    digests: dict[str, str]


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """Host to engine: the child runs."""

    step: str
    attempt: int
    pid: int


class Log(msgspec.Struct, frozen=True, kw_only=True, tag="log"):
    """Host to engine: output of an attempt as it came, undecoded. `time` is when it was read."""

    step: str
    attempt: int
    time: float
    data: bytes


class Cause(StrEnum):
    """Who ended a process that did not end by itself."""

    NONE = ""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STOP = "stop"


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a process ended, in words that every machine understands.

    Attributes:
        code: its exit status; 0 where a signal ended it.
        signal: name of the signal that ended it, such as "SIGKILL"; empty when it exited.
        cause: why its host ended it; empty when its host did not.
    """

    code: int = 0
    signal: str = ""
    cause: Cause = Cause.NONE


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag="exited"):
    """Host to engine: the child is gone and its output was passed on."""

    step: str
    attempt: int
    ended: Ended
    usage: Usage


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """Driver to engine: the pipeline called a task."""

    spec: StepSpec


class Await(msgspec.Struct, frozen=True, kw_only=True, tag="await"):
    """Driver to engine: the pipeline needs the value of a step now; answered with the same `question` number."""

    question: int
    step: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Driver or step to engine: which version does "churn@champion" mean in this run."""

    question: int
    model: str


class Metrics(msgspec.Struct, frozen=True, kw_only=True, tag="metrics"):
    """Driver or step to engine: values to keep."""

    points: tuple[MetricPoint, ...]


class Showed(msgspec.Struct, frozen=True, kw_only=True, tag="showed"):
    """Driver to engine: a picture or table to keep. A step's are in its record."""

    title: str
    picture: Artifact


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag="returned"):
    """Driver to engine: the pipeline function is over, with a result that may still hold refs."""

    result: Node | None = None
    failure: Failure | None = None


class Committed(msgspec.Struct, frozen=True, kw_only=True, tag="committed"):
    """Step to engine: its record is durable, so that nobody need wait for the process to be taken down."""

    result: StepResult


class Revealed(msgspec.Struct, frozen=True, kw_only=True, tag="revealed"):
    """Child to host, and no further: the child's code has the value of a secret from here on."""

    name: str
    value: str


FromChild = Call | Await | Ask | Metrics | Showed | Returned | Committed | Revealed


class Said(msgspec.Struct, frozen=True, kw_only=True, tag="said"):
    """Host to engine: a child's message, passed on as it came (it decodes as `FromChild`), and who said it."""

    step: str
    attempt: int
    message: msgspec.Raw


FromHost = Described | Bound | Identified | Started | Log | Exited | Said


_to_host = msgspec.msgpack.Decoder(ToHost)
_from_host = msgspec.msgpack.Decoder(FromHost)
_from_child = msgspec.msgpack.Decoder(FromChild)
_encoder = msgspec.msgpack.Encoder()

decode_to_host = _to_host.decode
decode_from_host = _from_host.decode
decode_from_child = _from_child.decode

_REVEALED = b"\xa4type\xa8revealed"


def revealed(content: bytes) -> Revealed | None:
    """A child's message when it is for the host alone."""
    message = decode_from_child(content) if _REVEALED in content[:16] else None
    return message if isinstance(message, Revealed) else None


def frame(message: ToHost | FromHost | FromChild) -> bytes:
    """A message as it goes over the wire: its length and its encoding."""
    try:
        data = _encoder.encode(message)
    except UnicodeEncodeError:
        data = _encoder.encode(_legible(msgspec.to_builtins(message, builtin_types=(bytes,))))
    return len(data).to_bytes(4, "big") + data


def typed(texts: dict[str, list[str]]) -> dict[str, list[bytes]]:
    """What was typed on a command line, as bytes, since it may hold a file name that is no UTF-8."""
    return {
        name: [text.encode("utf-8", "surrogatepass") for text in written] for name, written in texts.items()
    }


def _legible(tree: object) -> object:
    """The content of a message with an escape for each character that UTF-8 does not have."""
    if isinstance(tree, str):
        return legible(tree)
    if isinstance(tree, dict):
        pairs = cast("dict[object, object]", tree)
        return {_legible(key): _legible(item) for key, item in pairs.items()}
    if isinstance(tree, list | tuple):
        return [_legible(item) for item in cast("list[object]", tree)]
    return tree


class FrameTooLarge(ValueError):
    """The other side announced a frame larger than any it may send."""


class Splitter:
    """Cuts a stream of bytes into the contents of its frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes; returns the frames that are complete now."""
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "big")
            if length > MAX_FRAME:
                raise FrameTooLarge(f"a frame of {length} bytes")
            end = start + 4 + length
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[start + 4 : end]))
            start = end
        if start:
            del buffer[:start]
        return frames
