import msgspec
import pytest

from fairway.spec.run import Failure, Reason
from fairway.spec.wire import (
    Bind,
    Returned,
    Revealed,
    Splitter,
    decode_from_child,
    decode_to_host,
    frame,
    frame_for_host,
    revealed,
    typed,
)

ODD = "data-\udcff.csv"


def content(data: bytes) -> bytes:
    return Splitter().feed(data)[0]


def test_what_was_typed_arrives_as_it_was() -> None:
    texts = {"path": [ODD, "ü"], "depths": ["2", "\ud800"]}
    bind = decode_to_host(content(frame(Bind(pipeline="p", texts=typed(texts)))))
    assert isinstance(bind, Bind)
    assert bind.words() == texts


def test_a_message_with_a_text_that_has_no_encoding_is_sent_with_an_escape() -> None:
    failure = Failure(reason=Reason.USER, message=ODD, details=ODD)
    returned = decode_from_child(content(frame(Returned(failure=failure))))
    assert isinstance(returned, Returned)
    assert returned.failure is not None
    assert returned.failure.message == "data-\\udcff.csv"


def test_a_secret_is_known_as_one_whatever_its_text_is() -> None:
    assert revealed(content(frame_for_host(Revealed(name="KEY", value=ODD)))) is not None


def test_no_engine_reads_what_is_for_a_host_alone() -> None:
    secret = content(frame_for_host(Revealed(name="KEY", value="a-value")))
    with pytest.raises(msgspec.DecodeError):
        decode_from_child(secret)
    told = content(frame(Returned(failure=Failure(reason=Reason.USER, message="type revealed"))))
    assert revealed(told) is None
