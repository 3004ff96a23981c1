"""Reasons are words for programs; logs and records of earlier versions hold their texts instead."""

import msgspec
import pytest

from fairway.spec.run import REASON_TEXTS, Failure, Reason


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_a_record_of_an_earlier_version_holds_the_text_and_is_read(reason: Reason) -> None:
    for decode, encode in (
        (msgspec.json.decode, msgspec.json.encode),
        (msgspec.msgpack.decode, msgspec.msgpack.encode),
    ):
        old = encode({"reason": REASON_TEXTS[reason], "message": "no"})
        assert decode(old, type=Failure) == Failure(reason=reason, message="no")


def test_a_reason_is_written_as_one_word() -> None:
    written = msgspec.json.encode([reason for reason in Reason if reason])
    assert all(word.isalpha() for word in msgspec.json.decode(written, type=list[str]))


def test_every_reason_has_a_text_of_its_own() -> None:
    assert set(REASON_TEXTS) == set(Reason)
    assert len(set(REASON_TEXTS.values())) == len(Reason)


def test_what_is_neither_word_nor_text_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'"bad weather"', type=Reason)
