"""Files that hold what looks like a secret, and files that only look a little like it."""

from collections.abc import Iterator

import pytest

from fairway.author import redaction
from fairway.author.secret_files import suspicion

KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEvQIBADANBgkqhkiG9w0B" * 20 + b"\n-----END PRIVATE KEY-----\n"


@pytest.fixture(autouse=True)
def _no_secrets_left() -> Iterator[None]:
    yield
    redaction.forget()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".env", b"DB_PASSWORD=swordfish-9\n"),
        ("config/prod.env", b"API_KEY=abc123def456\n"),
        ("settings.yaml", b"db:\n  password: sw0rdfish-of-9\n"),
        ("deploy/key.pem", KEY),
        ("flow.py", b'TOKEN = "ghp_' + b"a1B2c3D4e5" * 4 + b'"\n'),
        ("flow.py", b'url = "postgres://shop:pa55word-of-the-shop1@db/shop"\n'),
        (".netrc", b""),
        ("home/id_rsa", b""),
    ],
    ids=range(8),
)
def test_a_secret_is_suspected(path: str, content: bytes) -> None:
    assert suspicion(path, content)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("flow.py", b'TOKEN = "FAIRWAY_TOKEN"\npassword = os.environ["PASSWORD"]\nself.token = token\n'),
        ("flow.py", b'"Secret": "author.files"\nsignature = endpoint.signature\n'),
        ("README.md", b"Set `SERVICE_PASSWORD=swordfish` before you run it.\n"),
        (".env.example", b"DB_PASSWORD=changeme\n"),
        ("data.csv", b"name,token\nann,12\n"),
        ("model.bin", b"password=hunter2-hunter2\0"),
        ("id_rsa.pub", b"ssh-rsa AAAAB3NzaC1yc2E ann@laptop\n"),
    ],
    ids=range(7),
)
def test_an_innocent_file_is_not_suspected(path: str, content: bytes) -> None:
    assert suspicion(path, content) == ""


def test_the_value_of_a_secret_of_this_process_is_found_in_any_file() -> None:
    redaction.know("SHOP_CODE", "open-sesame-of-the-shop")
    assert (
        suspicion("notes.txt", b"say open-sesame-of-the-shop") == "it holds the value of the secret SHOP_CODE"
    )
