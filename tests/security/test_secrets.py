"""Planted secrets: whatever a run, an endpoint and the platform leave behind is searched for them, byte by byte."""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from projects import Project

from fairway.author import redaction, secret_names
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
            urlopen(asked, timeout=240)
        said.append(refused.value.read().decode())
        deadline = time.monotonic() + 120
        while "Traceback" not in (log := project.fairway("logs", "broken").stdout):
            assert time.monotonic() < deadline, log
        said.append(log)
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


VALUE = "abc123def456"
LEAKING = [
    "Authorization: Bearer {}", "Authorization: Token {}", "authorization: {}rawkey", "AUTHORIZATION=Basic {}",
    "{{'Authorization': 'Bearer {}'}}", "[('Authorization', 'Bearer {}')]", "[(b'authorization', b'Bearer {}')]",
    "{{\"Authorization\": [\"Bearer {}\"]}}", "send: b'GET / HTTP/1.1\\r\\nAuthorization: Basic {}\\r\\nHost: x\\r\\n'",
    "Authorization: Digest username=x, response={}", "Authorization: AWS4-HMAC-SHA256 Credential=A/x, Signature={}",
    "Proxy-Authorization: Basic {}", "'HTTP_AUTHORIZATION': 'Bearer {}'", "X-Api-Key: {}", "x-auth-token: {}",
    "('x-api-key', '{}')", "PRIVATE-TOKEN: {}", "Ocp-Apim-Subscription-Key: {}", "Cookie: session={}",
    "Set-Cookie: sid={}; Path=/", "{{'cookie': 'a=1; sid={}'}}", "https://h/p?sig={}&se=1", "https://h/p?token={}",
    "https://h/p?x=1&amp;token={}", "https://h/p#access_token={}", "https://h/p?key={}", "to=https%3A%2F%2Fh%3Ftoken%3D{}",
    "password={}", "PGPASSWORD={} psql", "grant_type=x;client_secret={}", "grant_type=x&client_secret={}&y=1",
    '{{"password": "{}"}}', '{{\\"password\\": \\"{}\\"}}', "password: {}", "&quot;api_key&quot;: &quot;{}&quot;",
    "Client(api_key='{}', timeout=3)", "auth_token => {}", "secret: hunter{}", "--password {}".replace(" ", "="),
    "postgres://user:{}@host/db", "postgres://user:abc/{}@host/db", "postgres://user:abc@{}@host/db", "redis://:{}@h:6379/0",
    "https://{}@github.com/x", "https://ghp_{}@github.com/x", "https://x-access-token:{}@github.com/x",
    "mysql+pymysql://user:{}@host", "user:{}@host", "Server=x;User Id=y;Password={};", "AccountName=x;AccountKey={}==;E=y",
    "aws_secret_access_key = {}", "curl -u user:{} https://x", "curl -s --user user:{} x", "ghp_{}", "github_pat_{}_x",
    "glpat-{}", "xoxb-{}", "sk_live_{}", "sk-ant-api03-{}", "hf_{}{}", "npm_{0}{0}{0}",
    "https://hooks.slack.com/services/T0/B0/{}", "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "'-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----'", "\x1b[33mpassword\x1b[0m=\x1b[32m'{}'\x1b[0m",
]  # fmt: skip
INNOCENT = [
    "epoch 3 of 10: loss=0.1234 acc=0.98 lr=1e-4", "token 3 of 5", "tokens: 512, max_tokens=5, num_tokens: 1000000",
    "--key-size 5 --max-tokens 100 --tokenizer bert", "tokenizer=BertTokenizer(vocab_size=30522, pad_token='[PAD]')",
    "Pipeline(steps=[('tokenizer', Tok()), ('key', 'value')])", "key=accuracy value=0.9", "sort_key=3 primary_key=id",
    "{'key': 'learning_rate', 'value': 0.1}", "best key: depth", "for key, value in items:", "KeyError: 'token'",
    "http://127.0.0.1:7701/v2/models/x/infer", "http://x.org:80/y@z", "see https://docs.org/a?page=2&sort=name#top",
    "/home/me/secrets/token.txt", "reading secrets from disk", "password is wrong", "wrong password: access denied",
    "def connect(user: str, password: str, token: str | None = None):", "password = os.environ['DB_PASSWORD']",
    "token=None password='' api_key=None", "mail joe@example.org", "From: joe99@example.org", "python:3.12@sha256:ab12cd34",
    "git@github.com:me/project.git", "ssh://git@github.com/me/project.git", "the author: Ann Lee", "authority: none",
    "LogisticRegression(C=1.0, random_state=0)", "RandomForestClassifier(n_estimators=100, max_features='sqrt')",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "commit 4f3c2a1b9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a",
    "550e8400-e29b-41d4-a716-446655440000", "2026-11-29T12:30:45.123Z INFO step 12345", "signature: (x: int) -> int",
    "hf_hub_download finished", "sk-learn pipeline", "100%|##########| 10/10 [00:01<00:00,  9.9it/s]", "compass: north",
    "attention_mask key_padding_mask=3", "keys=['a', 'b']", "keyboard=qwerty", "monkey=banana", "turkey: 5", "authored by x=1",
    "design=flat", "cookies accepted: 3", "secret santa", "passes: 3 passed=5", "key_1=2", "passenger=Smith", "PWD=/home/me",
]  # fmt: skip
NAMES = [
    "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MYSQL_PWD", "STRIPE_KEY", "JWT_SIGNING_KEY", "GITHUB_PAT", "SLACK_WEBHOOK_URL",
    "REDIS_AUTH", "SSH_PASSPHRASE", "ENCRYPTION_KEY", "SESSION_COOKIE", "API_TOKEN", "PGPASSWORD", "MY_API_KEY_2",
    "AZURE_CONNECTION_STRING", "GOOGLE_CREDENTIALS", "token", "pwd", "secret_key", "key", "auth", "client_secret", "apiKey",
]  # fmt: skip
PLAIN_NAMES = [
    "TOKEN_FILE", "PASSWORD_MODE", "MAX_TOKENS", "TOKENIZERS_PARALLELISM", "PUBLIC_KEY", "KEYBOARD", "PWD", "SSH_AUTH_SOCK",
    "sort_key", "primary_key", "pad_token", "eos_token", "max_tokens", "key_size", "tokenizer", "author", "monkey", "compass",
    "key_column", "TOKEN_URL", "passengers", "design",
]  # fmt: skip


@pytest.mark.parametrize("line", LEAKING)
def test_what_is_a_secret_by_its_place_or_look_is_taken_out(line: str) -> None:
    text = line.format(VALUE, VALUE)
    left = Redactor({}).text(text)
    assert VALUE not in left
    assert "[secret]" in left


@pytest.mark.parametrize("line", LEAKING)
@pytest.mark.parametrize("end", ["\n", "\r", ""])
def test_it_is_taken_out_wherever_the_output_is_cut(line: str, end: str) -> None:
    data = (line.format(VALUE, VALUE) + end).encode()
    redactor = Redactor({})
    for size in (1, 2, 3, 5, 8, 13, len(data) - 6):
        stream = Stream()
        pieces = [stream.feed(data[at : at + size], redactor) for at in range(0, len(data), size)]
        assert VALUE.encode() not in b"".join((*pieces, stream.end(redactor))), size


@pytest.mark.parametrize("line", INNOCENT)
def test_innocent_lines_come_through_unchanged(line: str) -> None:
    redactor = Redactor({})
    assert redactor.text(line) == line
    stream = Stream()
    pieces = [stream.feed(letter.encode(), redactor) for letter in line + "\n"]
    assert b"".join(pieces).decode() == line + "\n"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["/begins-like-a-path/x1", "~tilde", "sunshine", "4711471", "abc"])
def test_a_variable_named_as_a_secret_is_one_whatever_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"MY_{name.upper()}" if name != "apiKey" else "API_KEY", value)
    redaction.forget()
    try:
        assert value not in redaction.refresh().text(f"it is {value}.")
        assert redaction.refusal(name, value)
    finally:
        redaction.forget()


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_name_that_only_tells_of_a_secret_is_none(name: str) -> None:
    assert not secret_names.is_secret(name)


@pytest.mark.parametrize(
    "value",
    [
        ["a", "postgres://me:pa55word@db/"], {"url": "https://ghp_abc@github.com"}, {"password": "x1"}, {"a": [{"token": "x1"}]},
        {"headers": ["Authorization: Bearer abcdef"]}, "Server=x;Password=abc;", b"postgres://me:pa55word@db/",
    ],
)  # fmt: skip
def test_a_parameter_is_searched_for_secrets_in_all_its_parts(value: object) -> None:
    assert redaction.refusal("config", value)
    assert not redaction.refusal("config", {"depth": [1, 2], "name": "x", "url": "https://h/p?page=2"})


def test_secrets_over_2048_bytes_and_behind_long_addresses_are_taken_out() -> None:
    long = "x1" * 3000
    redactor = Redactor({"KEY": long})
    stream = Stream()
    data = f"a {long} b http://h/{'a' * 5000}?token={VALUE}\n".encode()
    pieces = [stream.feed(data[at : at + 700], redactor) for at in range(0, len(data), 700)]
    left = b"".join(pieces).decode()
    assert left == f"a [secret KEY] b http://h/{'a' * 5000}?token=[secret]\n"


def test_a_replaced_secret_stays_known_and_the_new_one_is() -> None:
    code = (
        "import os\nfrom fairway.author import redaction\nredaction.watch_environment()\n"
        "os.environ['A_TOKEN'] = 'the-old-value1'\nos.environ['A_TOKEN'] = 'the-new-value2'\n"
        "print(redaction.live().text('the-old-value1 the-new-value2'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[secret A_TOKEN] [secret A_TOKEN]\n"


def test_output_without_end_is_passed_on_in_bounded_memory_and_time() -> None:
    redactor, stream, passed = Redactor({"KEY": "abcdefgh1234"}), Stream(), 0
    begun = time.process_time()
    for _ in range(2000):
        passed += len(stream.feed(b"password=" + b"x" * 91, redactor))
    assert len(stream.end(redactor)) < 50_000
    assert time.process_time() - begun < 30


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
