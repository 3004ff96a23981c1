"""Output of attempts leaves a pod with its position, and all else as it is."""

from fairway.runner.pod_positions import Positions
from fairway.spec.wire import Described, Log, Sent, decode_from_host, frame


def log(step: str, data: bytes) -> bytes:
    return frame(Log(step=step, attempt=1, time=2.0, data=data))[4:]


def test_each_attempt_counts_its_own_bytes() -> None:
    positions = Positions("pod")
    sent = [
        decode_from_host(positions.with_position(log(step, data)))
        for step, data in (("a", b"12345"), ("b", b"1"), ("a", b"67"), ("a", b"8"))
    ]
    assert [(one.step, one.data, one.sent) for one in sent if isinstance(one, Log)] == [
        ("a", b"12345", Sent("pod", 0)),
        ("b", b"1", Sent("pod", 0)),
        ("a", b"67", Sent("pod", 5)),
        ("a", b"8", Sent("pod", 7)),
    ]


def test_a_step_with_a_long_name_is_counted_as_well() -> None:
    message = decode_from_host(Positions("pod").with_position(log("s" * 500, b"1")))
    assert isinstance(message, Log)
    assert message.sent == Sent("pod", 0)


def test_other_messages_stay_as_they_are() -> None:
    content = frame(Described(pid=1))[4:]
    assert Positions("pod").with_position(content) is content
