import pytest

from fairway.server import errorlog


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errorlog, "_allowance", errorlog._Allowance())


@pytest.mark.usefixtures("fresh")
def test_entries_are_bounded_in_number_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1000):
        errorlog.write(lambda number=number: f"error {number}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error 0"
    assert 100 <= len(lines) <= 110
    errorlog._allowance.left = 1.0
    errorlog.write(lambda: "again")
    said = capsys.readouterr().err
    assert "errors before this one were not written" in said
    assert said.endswith("again\n")


@pytest.mark.usefixtures("fresh")
def test_a_long_entry_keeps_its_beginning_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    errorlog.write(lambda: "begin" + "x" * 10**6 + "end")
    said = capsys.readouterr().err
    assert len(said) < 10_000
    assert said.startswith("begin")
    assert said.endswith("end\n")
