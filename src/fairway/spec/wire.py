"""The framed protocol between an engine and its hosts.

A frame is a four-byte big-endian length and a MessagePack message of one of the types below. The same frames pass over
a Unix socket on this machine and over the link of a pod (`spec.link`). A host forwards the messages of its children, and adds
the step and attempt that each came from.
"""

from enum import StrEnum
from typing import cast

import msgspec

from fairway.spec.artifact import Artifact, Node
from fairway.spec.model import ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Failure, MetricPoint, StepResult, StepSpec, Usage
from fairway.spec.text import legible
from fairway.spec.trials import TrialAsked

PROTOCOL = 2
MAX_FRAME = 64 * 2**20
DRIVER = "pipeline"
"""The step name of a run's driver, in its start and in its log."""
REGISTER = "register"
"""The task of the built-in step that packages a model."""

MOST_KEPT = 16 * 2**10
"""Bytes of a message up to which a pod keeps it if it has the record of an attempt. A larger record is in the store before."""

LEASE = "FAIRWAY_LEASE"
"""The variable that tells a run, which a step started, whose share of the machine it works in."""


class Bind(msgspec.Struct, frozen=True, kw_only=True, tag="bind"):
    """A message from engine to host: turn a pipeline's command-line texts into values.

    Attributes:
        texts: the typed texts by parameter, as `typed` encodes them. A bool flag gives "true" or "false".
        config: the path of a JSON or TOML file with further values. Typed values win.
    """

    pipeline: str
    texts: dict[str, list[bytes]]
    config: str = ""

    def words(self) -> dict[str, list[str]]:
        """Return the texts as they were typed."""
        return {
            name: [text.decode("utf-8", "surrogatepass") for text in texts]
            for name, texts in self.texts.items()
        }


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """A message from engine to host: fork a child for one attempt of a step, or for the driver.

    Attributes:
        verified: digests that were written or checked during this run, so that they need no second check.
        memory: the most bytes that the attempt's processes may use together. 0 is no limit.
        lease: the token with which a run that the attempt starts works within the attempt's share of the machine.
        gpus: the devices that the attempt was given, as `CUDA_VISIBLE_DEVICES` takes them.
        repeats: the call of a task that the driver makes instead of calling the pipeline's function.
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
    repeats: StepSpec | None = None


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="stop"):
    """A message from engine to host: end an attempt.

    The attempt gets a SIGTERM. After `grace` seconds its whole process group is killed.
    """

    step: str
    attempt: int
    grace: float = 0.0


class Happened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The news of a step for a pipeline that follows it.

    Attributes:
        begun: True when an attempt of the step began.
        points: the values that the step logged.
        ended: True when the step is over. It succeeded if there is no `failure`.
    """

    step: str
    begun: bool = False
    points: tuple[MetricPoint, ...] = ()
    ended: bool = False
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """A message from engine to driver: the value of a step that it waits for, or the answer to a question.

    At most one of `outputs`, `failure`, `model`, `trials` and `happened` is set. `trusted` is True when a run of this
    project made the model, so that its content may run code.
    """

    step: str
    question: int
    outputs: tuple[Artifact, ...] = ()
    failure: Failure | None = None
    model: ModelVersion | None = None
    trusted: bool = False
    trials: tuple[TrialAsked, ...] = ()
    happened: tuple[Happened, ...] = ()


class Identify(msgspec.Struct, frozen=True, kw_only=True, tag="identify"):
    """A message from engine to host: find the digests of code of the project, by the names in stored values."""

    names: tuple[str, ...]


class Quit(msgspec.Struct, frozen=True, tag="quit"):
    """A message from engine to host: end every child and exit, because there is no more work."""


ToHost = Bind | Start | Stop | Answer | Identify | Quit


class Described(msgspec.Struct, frozen=True, kw_only=True, tag="described"):
    """A message from host to engine: the declarations of the project, or the failure of its import."""

    pid: int
    project: ProjectSpec | None = None
    failure: Failure | None = None
    protocol: int = PROTOCOL


class Bound(msgspec.Struct, frozen=True, kw_only=True, tag="bound"):
    """A message from host to engine: a pipeline's parameters as values and for people, or why they do not fit."""

    parameters: dict[str, Artifact] = msgspec.field(default_factory=dict[str, Artifact])
    shown: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    failure: Failure | None = None


class Identified(msgspec.Struct, frozen=True, kw_only=True, tag="identified"):
    """A message from host to engine: the digest of each name's present code, empty for code that was not found."""

    digests: dict[str, str]


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """A message from host to engine: the child runs."""

    step: str
    attempt: int
    pid: int


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """The position of output that may be sent again: its sender, and the bytes of the attempt that the sender had sent before."""

    origin: str
    offset: int


class Log(msgspec.Struct, frozen=True, kw_only=True, tag="log", omit_defaults=True):
    """A message from host to engine: output of an attempt as raw bytes.

    Attributes:
        time: the time at which it was read.
        sent: its position, if the message may come twice.
    """

    step: str
    attempt: int
    time: float
    data: bytes
    sent: Sent | None = None


class Cause(StrEnum):
    """The cause of the end of a process that did not end by itself."""

    NONE = ""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STOP = "stop"


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of a process, in words that every machine understands.

    Attributes:
        code: the exit status. It is 0 if a signal ended the process.
        signal: the name of the signal that ended the process, such as "SIGKILL". It is empty when the process exited.
        cause: the reason why its host ended it. It is empty when its host did not.
    """

    code: int = 0
    signal: str = ""
    cause: Cause = Cause.NONE


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag="exited"):
    """A message from host to engine: the child is gone, and all its output was forwarded."""

    step: str
    attempt: int
    ended: Ended
    usage: Usage


class Call(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """A message from driver to engine: the pipeline called a task."""

    spec: StepSpec


class Await(msgspec.Struct, frozen=True, kw_only=True, tag="await"):
    """A message from driver to engine: the pipeline needs the value of a step. The `Answer` has the same `question`.

    Attributes:
        aside: True when only the host waits for the end of the step. The pipeline is not told of its failure then.
    """

    question: int
    step: str
    aside: bool = False


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A message from driver or step to engine: find the version that "churn@champion" means in this run."""

    question: int
    model: str


class Recall(msgspec.Struct, frozen=True, kw_only=True, tag="recall"):
    """A message from driver to engine: a search begins, and needs the trials that it asked for before."""

    question: int
    search: str


class Watch(msgspec.Struct, frozen=True, kw_only=True, tag="watch"):
    """A message from driver to engine: follow these steps besides the earlier ones, and answer once there is news."""

    question: int
    steps: tuple[str, ...]


class GiveUp(msgspec.Struct, frozen=True, kw_only=True, tag="give_up"):
    """A message from driver to engine: end these steps, because the pipeline does not need their results any more."""

    steps: tuple[str, ...]
    why: str


class Metrics(msgspec.Struct, frozen=True, kw_only=True, tag="metrics"):
    """A message from driver or step to engine: keep these logged values."""

    points: tuple[MetricPoint, ...]


class Showed(msgspec.Struct, frozen=True, kw_only=True, tag="showed"):
    """A message from driver to engine: keep a picture or table. Those of a step are in its record."""

    title: str
    picture: Artifact


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag="returned"):
    """A message from driver to engine: the pipeline function is over. Its result may still hold refs."""

    result: Node | None = None
    failure: Failure | None = None


class Committed(msgspec.Struct, frozen=True, kw_only=True, tag="committed"):
    """A message from step to engine: the attempt has ended, and its record is kept.

    The record is durable in the store, or it is small and this message is the record: a pod keeps the message until long after
    the log of the engine has it.
    """

    result: StepResult


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """A message from child to host alone: the child's code has the value of a secret from here on.

    It travels in a frame of its own kind, which no decoder of an engine reads.
    """

    name: str
    value: str


FromChild = (
    Call | Await | Ask | Recall | TrialAsked | Watch | GiveUp | Metrics | Showed | Returned | Committed
)


class Said(msgspec.Struct, frozen=True, kw_only=True, tag="said"):
    """A message from host to engine: a forwarded message of a child, which decodes as `FromChild`, and its sender."""

    step: str
    attempt: int
    message: msgspec.Raw


FromHost = Described | Bound | Identified | Started | Log | Exited | Said


class _Kind(msgspec.Struct, frozen=True):
    """The kind of a message, without the rest of it."""

    type: str


_to_host = msgspec.msgpack.Decoder(ToHost)
_from_host = msgspec.msgpack.Decoder(FromHost)
_from_child = msgspec.msgpack.Decoder(FromChild)
_kind = msgspec.msgpack.Decoder(_Kind)
_encoder = msgspec.msgpack.Encoder()

decode_to_host = _to_host.decode
decode_from_host = _from_host.decode
decode_from_child = _from_child.decode


def is_kept(said: Said) -> bool:
    """Tell whether a message of a child has the only record of its attempt. The rest of the message is not decoded."""
    is_small = memoryview(said.message).nbytes <= MOST_KEPT
    return is_small and _kind.decode(said.message).type == "committed"


_FOR_HOST = b"\xc1"
"""The first byte of a frame for the host alone. No MessagePack message begins with it."""

_revealed = msgspec.msgpack.Decoder(Revealed)


def frame_for_host(message: Revealed) -> bytes:
    """Encode a child's message for its host alone as a frame."""
    data = frame(message)[4:]
    return (1 + len(data)).to_bytes(4, "big") + _FOR_HOST + data


def revealed(content: bytes) -> Revealed | None:
    """Return the message in a frame if it is for the host alone, else None."""
    return _revealed.decode(content[1:]) if content.startswith(_FOR_HOST) else None


def frame(message: ToHost | FromHost | FromChild | Revealed) -> bytes:
    """Encode a message as a frame: its length and its content."""
    try:
        data = _encoder.encode(message)
    except UnicodeEncodeError:
        data = _encoder.encode(_legible(msgspec.to_builtins(message, builtin_types=(bytes,))))
    return len(data).to_bytes(4, "big") + data


def typed(texts: dict[str, list[str]]) -> dict[str, list[bytes]]:
    """Encode the texts of a command line as bytes, because they may hold a file name that is not UTF-8."""
    return {
        name: [text.encode("utf-8", "surrogatepass") for text in written] for name, written in texts.items()
    }


def _legible(tree: object) -> object:
    """Return the content of a message with an escape for each character that UTF-8 does not have."""
    if isinstance(tree, str):
        return legible(tree)
    if isinstance(tree, dict):
        pairs = cast("dict[object, object]", tree)
        return {_legible(key): _legible(item) for key, item in pairs.items()}
    if isinstance(tree, list | tuple):
        return [_legible(item) for item in cast("list[object]", tree)]
    return tree


class FrameTooLarge(ValueError):
    """The error for a frame that is larger than the other side may send."""


class Splitter:
    """A splitter of a stream of bytes into the contents of its frames. A frame has at most `most` bytes."""

    __slots__ = ("_buffer", "most")

    def __init__(self, most: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self.most = most

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes. Return the contents of the frames that are complete now."""
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= 4:
            length = int.from_bytes(buffer[start : start + 4], "big")
            if length > self.most:
                raise FrameTooLarge(f"a frame of {length} bytes")
            end = start + 4 + length
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[start + 4 : end]))
            start = end
        if start:
            del buffer[:start]
        return frames
