"""Planted secrets: whatever a run, an endpoint and the platform leave behind is searched for them, byte by byte."""

import base64
import json
import os
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from projects import Project

from fairway.author.redaction import Redactor, Stream

PLANTED = {
    "API_TOKEN": "tok-A1-9f8e7d6c5b4a",
    "AWS_SECRET_ACCESS_KEY": "aws/B2+wJalrXUtnFEMI",
    "DB_PASSWORD": 'pw-C3-"quoted"\\back',
    "SERVICE_API_KEY": "key-D4-päßwörd-ünique",
    "DATABASE_URL": "postgres://reader:dbpw-E5-77aa88bb@db.example/main",
    "BILLING": "named-F6-0011223344",
    "MAILING": "named-G7-5566778899",
    "LATE": "late-H8-a0b1c2d3e4f5",
    "SIGNING_PRIVATE_KEY": "-----BEGIN KEY-----\nI9lineoneAAAAAAAAAAAAAAAA\nJ10linetwoBBBBBBBBBBBBBB\n-----END KEY-----",
    "CHUNKED_TOKEN": "chunk-K11-zyxwvutsrqpo",
    "CHILD_SECRET": "child-L12-lkjhgfdsa987",
    "RETURNED_TOKEN": "back-M13-mnbvcxz54321",
    "ARGUMENT_TOKEN": "arg-N14-poiuytrewq12",
    "METRIC_TOKEN": "metric_O15_qazwsxedc",
    "TITLE_TOKEN": "title-P16-rfvtgbyhnujm",
    "FAIRWAY_TOKEN": "platform-Q17-" + "0f" * 20,
}
LITERAL = {
    "an address in a log line": "logpw-R18-8899aabb",
    "a token in a query": "query-S19-ccddeeff",
    "a header": "header-T20-00112233",
    "a parameter": "param-U21-99887766",
    "an address as a parameter": "addrpw-V22-55443322",
    "a failing endpoint": "serve-W23-1a2b3c4d5e",
}
NEEDLES = {
    **{name: value for name, value in PLANTED.items() if name not in ("DATABASE_URL", "SIGNING_PRIVATE_KEY", "LATE")},
    "DATABASE_URL": "dbpw-E5-77aa88bb",
    "SIGNING_PRIVATE_KEY": "I9lineoneAAAAAAAAAAAAAAAA",
    "LATE": PLANTED["LATE"],
    **LITERAL,
}  # fmt: skip

CODE = """
import base64, json, logging, subprocess

late = "-".join(["late", "H8", "a0b1c2d3e4f5"])

@fw.task
def prints():
    for name in ("API_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "SERVICE_API_KEY", "SIGNING_PRIVATE_KEY"):
        value = os.environ[name]
        print(value, repr(value), json.dumps({name: value}))
        print({name: value}, file=sys.stderr)
    logging.warning("connecting to %s", os.environ["DATABASE_URL"])
    print("the same as", os.environ["DATABASE_URL"].split(":")[2].split("@")[0])
    print("postgres://writer:" + "-".join(["logpw", "R18", "8899aabb"]) + "@db.example/main")
    print("GET /x?page=1&access_token=" + "-".join(["query", "S19", "ccddeeff"]))
    print("Authorization: Bearer " + "-".join(["header", "T20", "00112233"]))
    for letter in os.environ["CHUNKED_TOKEN"]:
        os.write(1, letter.encode())
        time.sleep(0.002)
    subprocess.run(["sh", "-c", "echo $CHILD_SECRET"])
    print(fw.Secret("BILLING").reveal())
    os.environ["LATE"] = late
    print(fw.Secret("LATE").reveal(), flush=True)

@fw.task
def raises():
    try:
        raise ValueError("inner " + os.environ["API_TOKEN"])
    except ValueError as error:
        raise RuntimeError(f"cannot log in with {fw.Secret('MAILING').reveal()} at {os.environ['DATABASE_URL']}") from error

@fw.task
def returns() -> dict:
    return {"answer": os.environ["RETURNED_TOKEN"]}

@fw.task
def pickles() -> object:
    value = os.environ["RETURNED_TOKEN"]
    return lambda: value

@fw.task
def takes(text: str):
    return 1

@fw.task
def logs():
    fw.log(**{os.environ["METRIC_TOKEN"]: 1.0})
    fw.show([1, 2], title=os.environ["TITLE_TOKEN"])

@fw.task
def crashes():
    import faulthandler
    faulthandler.enable()
    print(os.environ["API_TOKEN"], os.environ["FAIRWAY_TOKEN"], flush=True)
    os.abort()

def attempted(call):
    try:
        fw.value(call())
    except Exception as error:
        print("refused:", error)

@fw.pipeline
def plant():
    fw.value(prints())
    attempted(raises)
    attempted(returns)
    attempted(pickles)
    attempted(lambda: takes(os.environ["ARGUMENT_TOKEN"]))
    attempted(logs)
    attempted(crashes)
    print("in the pipeline", os.environ["API_TOKEN"])
    raise ValueError("at the end " + os.environ["API_TOKEN"])

@fw.pipeline
def takes_password(password: str = "", address: str = ""):
    print(password, address)

@fw.pipeline
def takes_secret(key: fw.Secret = fw.Secret("BILLING")):
    print(key, key.reveal())

@fw.endpoint
def broken(text: str) -> str:
    print(os.environ["API_TOKEN"], fw.Secret("BILLING").reveal())
    raise ValueError("https://user:" + "-".join(["serve", "W23", "1a2b3c4d5e"]) + "@host/ " + os.environ["DB_PASSWORD"])
"""

WITHOUT = """
import fairway.author.redaction as redaction
redaction.Redactor.data = lambda self, data: data
redaction.Redactor.text = lambda self, text: text
redaction.Redactor.found = lambda self, data: ""
redaction.Redactor.unfinished = lambda self, data: 0
redaction.refusal = lambda name, value: ""
"""
"""Planted bug: nothing is taken out and nothing refused."""


def spellings(value: str) -> set[bytes]:
    """How a value may have been written down."""
    texts = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value, safe=""),
    }
    return {text.encode() for text in {*texts, repr(value)[1:-1]}}


def leaks(project: Project, outputs: list[str]) -> dict[str, list[str]]:
    """Where each secret is found: in files but the token's own, or in what commands said."""
    own = {"project.py", "token", "sitecustomize.py"}
    contents = {
        str(path.relative_to(project.folder)): path.read_bytes()
        for path in project.folder.rglob("*")
        if path.is_file() and path.name not in own and path.suffix != ".pyc"
        and path.relative_to(project.folder).parts[:2] != (".fairway", "sources")
    }  # fmt: skip
    contents |= {f"output {place}": text.encode() for place, text in enumerate(outputs)}
    assert len(contents) > 20
    found: dict[str, list[str]] = {}
    for name, value in NEEDLES.items():
        for place, content in contents.items():
            if any(form in content for form in spellings(value)):
                found.setdefault(name, []).append(place)
    return found


def tried(project: Project) -> list[str]:
    """Everything that the project can do with its secrets; what the commands said."""
    project.write(CODE)
    project.environment |= {name: value for name, value in PLANTED.items() if name != "LATE"}
    said: list[str] = []

    def fairway(*words: str, expect: int | None = None) -> str:
        done = project.fairway(*words, expect=expect)
        said.append(done.stdout + done.stderr)
        return done.stdout

    fairway("run", "project.py:plant", expect=1)
    fairway("run", "project.py:takes_password", "--password", LITERAL["a parameter"])
    address = f"mysql://me:{LITERAL['an address as a parameter']}@host/db"
    fairway("run", "project.py:takes_password", "--address", address)
    fairway("run", "project.py:takes_secret", expect=0)
    fairway("runs", "--json")
    for run in json.loads(said[-1]):
        fairway("show", run["name"], "--json")
        fairway("show", run["name"])
        fairway("logs", run["name"])
    try:
        fairway("deploy", "project.py")
        url = next(
            word for word in said[-1].split() if word.startswith("http://127.0.0.1") and word.endswith("/")
        )
        asked = Request(url, b'"x"', {"Content-Type": "application/json"}, method="POST")
        with pytest.raises(HTTPError) as refused:
            urlopen(asked, timeout=20)
        said.append(refused.value.read().decode())
        said.extend(path.read_text("utf-8") for path in project.folder.rglob("endpoints/**/*.log"))
        assert "Traceback" in said[-1]
        fairway("endpoints", "--json")
    finally:
        fairway("down")
    return said


def test_planted_secrets_are_found_nowhere(project: Project, measured) -> None:
    said = tried(project)
    assert sum("[secret" in text for text in said) >= 2, "the story was not told"
    assert any(b"[secret " in path.read_bytes() for path in project.folder.rglob("*.log"))
    found = leaks(project, said)
    assert not found, found
    token = next(project.folder.rglob("platform/token"), None)
    assert token is None or token.stat().st_mode & 0o077 == 0
    measured("T27", "Planted secrets searched for in everything left behind", goal="0 found",
             secrets=len(NEEDLES), found=len(found))  # fmt: skip


def test_the_search_finds_what_a_platform_without_redaction_leaves(project: Project) -> None:
    (project.folder / "sitecustomize.py").write_text(WITHOUT)
    project.environment["PYTHONPATH"] = str(project.folder)
    found = leaks(project, tried(project))
    missed = set(NEEDLES) - set(found)
    assert missed <= {"FAIRWAY_TOKEN", "CHUNKED_TOKEN"}, missed


def test_a_secret_in_pieces_is_taken_out_and_the_rest_goes_through() -> None:
    redactor = Redactor({"KEY": "abcdefgh1234"})
    for size in range(1, 14):
        stream, passed = Stream(), b""
        data = b"one abcdefgh1234 two abcdefg three://x:pass1234@host abc"
        for at in range(0, len(data), size):
            passed += stream.feed(data[at : at + size], redactor)
        passed += stream.end(redactor)
        assert passed == b"one [secret KEY] two abcdefg three://x:[secret]@host abc", size


def test_innocent_output_is_not_kept_back() -> None:
    redactor = Redactor({"KEY": "abcdefgh1234"})
    assert Stream().feed(b"epoch 3 of 10: 30 %\r", redactor) == b"epoch 3 of 10: 30 %\r"
    assert redactor.data(b"http://127.0.0.1:7701/v2 and 12:30:45") == b"http://127.0.0.1:7701/v2 and 12:30:45"


@pytest.mark.parametrize("value", ["", "a", "12"])
def test_one_or_two_letters_are_no_secret(value: str) -> None:
    assert Redactor({"KEY": value}).data(b"12 a") == b"12 a"


def test_another_encoding_is_the_known_limit() -> None:
    hidden = base64.b64encode(b"x" + PLANTED["API_TOKEN"].encode())
    assert Redactor(PLANTED).data(hidden) == hidden


def test_files_of_a_store_belong_to_their_owner_alone(project: Project) -> None:
    project.write("@fw.pipeline\ndef one():\n    print('hello')\n")
    project.fairway("run", "project.py")
    store = project.folder / ".fairway"
    open_to_others = [
        str(path) for path in (store, *store.rglob("*"))
        if not path.is_symlink() and path.is_file() and os.stat(path).st_mode & 0o022
    ]  # fmt: skip
    assert Path(store).is_dir()
    assert not open_to_others
