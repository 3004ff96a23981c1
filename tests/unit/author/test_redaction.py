"""Secrets are taken out of what leaves a process, in every spelling that is known, and nothing else is."""

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.author import redaction
from fairway.author.redaction import Redactor, Stream

SECRET = 'sword"fish/42 ünd\\so'


@pytest.fixture
def redactor() -> Redactor:
    return Redactor({"KEY": SECRET, "OTHER": "hunter2-hunter2"})


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """What one test makes known is not known to the next."""
    yield
    redaction.forget()


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        "sword%22fish%2F42%20%C3%BCnd%5Cso",
        'sword\\"fish/42 \\u00fcnd\\\\so',
        'sword\\"fish/42 ünd\\\\so',
    ],
)
def test_a_secret_is_taken_out_in_the_spellings_in_which_it_turns_up(
    redactor: Redactor, spelling: str
) -> None:
    assert redactor.text(f"before {spelling} after") == "before [secret KEY] after"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://me:pa55word@db:5432/x", "postgres://me:[secret]@db:5432/x"),
        ("https://x.org/?token=abc123&page=2", "https://x.org/?token=[secret]&page=2"),
        ("Authorization: Bearer abcdef", "Authorization: Bearer [secret]"),
        ("{'authorization': 'Basic eHg='}", "{'authorization': 'Basic [secret]'}"),
    ],
)
def test_what_is_a_secret_by_its_place_is_taken_out(text: str, left: str) -> None:
    assert Redactor({}).text(text) == left


@pytest.mark.parametrize(
    "text", ["nothing here", "a: b@c", "http://x.org:80/y@z", "page=2&size=3", "authority: none", ""]
)
def test_innocent_text_stays_as_it_is(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text


def test_short_values_and_plain_words_are_taken_out_where_they_stand_alone() -> None:
    redactor = Redactor({"PIN": "12345", "WORD": "sunshine", "LETTERS": "ab"})
    assert redactor.text("12345 things, sunshine!") == "[secret PIN] things, [secret WORD]!"
    assert redactor.text("x12345 sunshines ab") == "x12345 sunshines ab"
    assert redactor.found(b"12345") == ""
    assert redactor.found(b"a sunshine") == "WORD"


@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 60))
def test_a_stream_cut_anywhere_gives_what_the_whole_gives(seed: int, before: int, after: int) -> None:
    redactor = Redactor({"KEY": SECRET, "OTHER": "hunter2-hunter2"})
    rng = random.Random(seed)
    whole = ("x" * before + SECRET + " hunter2-hunter2 postgres://me:pa55word@db/ " + "y" * after).encode()
    stream, out = Stream(), b""
    while whole:
        size = rng.randrange(1, 12)
        out += stream.feed(whole[:size], redactor)
        whole = whole[size:]
    out += stream.end(redactor)
    said = out.decode()
    assert SECRET not in said
    assert "pa55word" not in said
    assert said == "x" * before + "[secret KEY] [secret OTHER] postgres://me:[secret]@db/ " + "y" * after


def test_what_was_said_before_an_unfinished_word_is_not_held_back(redactor: Redactor) -> None:
    stream = Stream()
    assert stream.feed(b"progress 10 %\n", redactor) == b"progress 10 %\n"
    assert stream.feed(b"hunter2-", redactor) == b""
    assert stream.feed(b"nothing", redactor) == b"hunter2-nothing"


def test_variables_named_as_secrets_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", "zx81-zx81")
    monkeypatch.setenv("DATABASE_URL", "mysql://me:pa55word@db/")
    monkeypatch.setenv("TOKEN_FILE", "/run/secrets/token")
    monkeypatch.setenv("PASSWORD_MODE", "disabled")
    live = redaction.refresh()
    assert live.text("zx81-zx81 pa55word") == "[secret SERVICE_API_KEY] [secret DATABASE_URL, its password]"
    assert live.text("/run/secrets/token disabled") == "/run/secrets/token disabled"


def test_a_revealed_secret_is_known_from_there_on() -> None:
    assert redaction.live().text("open sesame") == "open sesame"
    redaction.know("WORD", "open sesame")
    assert redaction.live().text("open sesame") == "[secret WORD]"
    assert redaction.live().found(b"say open sesame!") == "WORD"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("url", "postgres://me:pa55word@db/", "is an address with a password in it"),
        ("api_key", "abc", "is a secret by its name"),
        ("note", "the word is open sesame", "holds the value of the secret WORD"),
        ("note", "innocent", ""),
        ("count", 3, ""),
    ],
)
def test_a_parameter_that_would_keep_a_secret_is_refused(name: str, value: object, said: str) -> None:
    redaction.know("WORD", "open sesame")
    refused = redaction.refusal(name, value)
    assert said in refused if said else refused == ""


def test_a_piece_may_end_anywhere_also_where_another_secret_could_begin() -> None:
    values = {
        "API_TOKEN": "tok-A1-abcdef99", "DB_PASSWORD": "db pass w0rd+/=", "SERVICE_API_KEY": "key-D4-päßwörd-ünique",
    }  # fmt: skip
    lines = [
        f"{value} {value!r} {json.dumps({name: value})}\n{ {name: value} }\n"
        for name, value in values.items()
    ]
    whole, redactor = "".join(lines).encode(), redaction.Redactor(values)
    for cut in range(len(whole) + 1):
        stream = redaction.Stream()
        seen = stream.feed(whole[:cut], redactor) + stream.feed(whole[cut:], redactor) + stream.end(redactor)
        assert not any(part in seen for part in (b"D4-p", b"tok-A1", b"w0rd")), cut
