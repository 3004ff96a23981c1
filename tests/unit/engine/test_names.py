"""The draw of names for runs: free ones, and short while there are short ones."""

from fairway.engine.names import new_name


def test_a_name_that_is_taken_is_drawn_again() -> None:
    asked: list[str] = []

    def is_taken(name: str) -> bool:
        asked.append(name)
        return len(asked) < 4

    assert new_name(is_taken) == asked[3]


def test_a_name_grows_when_short_ones_run_out() -> None:
    assert len(new_name(lambda name: False)) == 4
    assert len(new_name(lambda name: len(name) < 8)) == 8
