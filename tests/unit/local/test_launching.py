"""The environment of a host."""

import pytest

from fairway.local import launching


def test_texts_have_one_hash_in_all_hosts_unless_the_person_wants_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    assert launching.variables("mark")["PYTHONHASHSEED"] == "0"
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    assert launching.variables("mark")["PYTHONHASHSEED"] == "random"


def test_a_host_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launching.TOKEN, "secret")
    assert launching.TOKEN not in launching.variables("mark")
