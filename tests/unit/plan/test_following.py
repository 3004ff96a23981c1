"""Positions in the stream of a run's updates: they come back as they were, and rubbish is refused."""

import pytest

from fairway.plan.following import Position, checksum, read_position
from fairway.spec.errors import UsageError


def test_a_position_comes_back_as_it_was() -> None:
    position = Position(seq=7, known=3, offsets={0: 12, 2: 0}, waits=9)
    assert read_position(position.text()) == position


def test_the_beginning_is_an_empty_text() -> None:
    assert read_position("") == Position()


def test_attempts_that_are_met_begin_at_their_first_byte() -> None:
    position = Position(known=1, offsets={0: 5})
    position.meet(3)
    position.meet(2)
    assert (position.known, position.offsets) == (3, {0: 5, 1: 0, 2: 0})


@pytest.mark.parametrize(
    "text",
    ["1", "1.2.3", "1.2.3.4", "a.0.0.", "-1.0.0.", "1.0.0.1", "1.0.0.1-", "1.0.0.1-x", "1.0.0.,", "1.0.0.0-0.",
     "1.0.0." + "1-1," * 20_000, "9" * 400 + ".0.0.", "live-3", "١.0.0."],
)  # fmt: skip
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_position(text)


def test_a_note_about_waiting_is_told_from_another() -> None:
    assert checksum("", "") == 0
    assert checksum("train", "run k7m2") != checksum("train", "run p3x8") != 0
