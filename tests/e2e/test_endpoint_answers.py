"""What endpoints take and give beyond plain values: models that check themselves, streams, classes and files."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project, wait_for

FILE = '''
import asyncio
import dataclasses
import datetime
import decimal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from PIL import Image
from pydantic import BaseModel, Field

class Spot(NamedTuple):
    x: int
    y: int

class Book(BaseModel):
    kind: Literal["book"] = "book"
    title: str
    price: Annotated[decimal.Decimal, Field(gt=0)]

class Toy(BaseModel):
    kind: Literal["toy"]
    age: int

class Node(BaseModel):
    name: str
    below: "list[Node]" = []

@dataclasses.dataclass
class Order:
    first: Book
    rest: dict[str, Book]
    where: Spot
    day: datetime.date

@fw.endpoint
def order(item: Book, others: list[Annotated[Book | Toy, Field(discriminator="kind")]] | None = None,
          where: Spot = Spot(0, 0), day: datetime.date = datetime.date(2020, 1, 2)) -> Order:
    """Order things."""
    return Order(item, {each.title: each for each in others or [] if isinstance(each, Book)}, where, day)

@fw.endpoint
def tree(node: Node) -> Node:
    return node

def note(text):
    with open("notes.txt", "a") as file:
        file.write(text + "\\n")

class Plan(BaseModel):
    n: int
    pause: float = 0.0
    size: int = 0
    fail: int = -1
    name: str = ""

def steps(plan):
    for i in range(plan.n):
        if i == plan.fail:
            raise ValueError("the inside")
        if plan.name:
            note(f"{plan.name} made")
        yield f"tok{i} " + "x" * plan.size

@fw.endpoint
def tokens(plan: Plan) -> Iterator[str]:
    try:
        for item in steps(plan):
            yield item
            time.sleep(plan.pause)
    finally:
        if plan.name:
            note(f"{plan.name} closed")

@fw.endpoint
async def later(plan: Plan) -> AsyncIterator[str]:
    try:
        for item in steps(plan):
            yield item
            await asyncio.sleep(plan.pause)
    finally:
        await asyncio.sleep(0)
        if plan.name:
            note(f"{plan.name} closed")

@fw.endpoint(private=True)
class Closed:
    """Counts."""

    made = 0

    def __init__(self, start: int = 10):
        type(self).made += 1
        self.n = start

    async def __call__(self, step: int) -> list[int]:
        await asyncio.sleep(0)
        self.n += step
        return [self.n, self.made]

@fw.endpoint
def keep(file: fw.File, note: str = "", factor: int = 1, tags: list[str] = [], more: list[fw.File] = []) -> dict[str, object]:
    content = Path(file).read_bytes()
    return {"name": file.name, "size": len(content) * factor, "tags": tags, "more": [len(Path(f).read_bytes()) for f in more],
            "note": note, "path": str(file)}

@fw.endpoint
def turn(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.ROTATE_90)

@fw.endpoint
def chunks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 4):
        yield content[start:start + 4]
'''


class Server:
    """The endpoints of one file, deployed once."""

    def __init__(self, project: Project, text: str) -> None:
        self.project = project
        self.folder = project.folder
        project.write(text)
        self.told = project.fairway("deploy", "project.py").stderr
        self.read()

    def read(self) -> None:
        """Where each endpoint is."""
        listed = json.loads(self.project.fairway("endpoints", "--json").stdout)
        self.ports = {status["name"]: status["port"] for status in listed}

    def connect(self, name: str) -> http.client.HTTPConnection:
        """A connection to an endpoint."""
        return http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=240)

    def send(self, name: str, body: bytes, **headers: str) -> http.client.HTTPResponse:
        """POST a body; the answer is not read yet."""
        connection = self.connect(name)
        connection.request(
            "POST", "/", body, {key.replace("_", "-"): value for key, value in headers.items()}
        )
        return connection.getresponse()

    def ask(self, name: str, value: object) -> tuple[int, Any]:
        """POST JSON."""
        answer = self.send(name, json.dumps(value).encode(), content_type="application/json")
        return answer.status, json.loads(answer.read())

    def post(self, name: str, value: object, *lines: str, version: str = "1.1") -> socket.socket:
        """POST JSON over a socket."""
        body = json.dumps(value)
        head = [f"POST / HTTP/{version}", f"Host: 127.0.0.1:{self.ports[name]}", f"Content-Length: {len(body)}",
                "Content-Type: application/json", *lines]  # fmt: skip
        line = socket.create_connection(("127.0.0.1", self.ports[name]), timeout=240)
        line.sendall("\r\n".join([*head, "", body]).encode())
        return line

    def form(self, name: str, *parts: tuple[str, str, bytes], **headers: str) -> tuple[int, Any]:
        """POST a form: name, file name and content of each part."""
        pieces = [
            b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
            % (field.encode(), f'; filename="{file}"'.encode() if file else b"", content)
            for field, file, content in parts
        ]
        kind = {"content_type": "multipart/form-data; boundary=edge", **headers}
        answer = self.send(name, b"".join(pieces) + b"--edge--\r\n", **kind)
        return answer.status, json.loads(answer.read())

    def openapi(self, name: str) -> Any:
        """Its description."""
        connection = self.connect(name)
        connection.request("GET", "/openapi.json")
        return json.loads(connection.getresponse().read())

    def in_flight(self, name: str) -> float:
        """Requests that are being answered, this one left out."""
        connection = self.connect(name)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return sum(
            float(line.split()[-1]) - 1 for line in text.splitlines() if line.startswith("fairway_in_flight{")
        )

    def counted(self, name: str, code: int) -> float:
        """Answers of `POST /` with a status."""
        connection = self.connect(name)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        wanted = f'code="{code}",endpoint="{name}",route="predict"'
        return sum(float(line.split()[-1]) for line in lines if wanted in line and "_total" in line)

    def notes(self, name: str) -> list[str]:
        """What a stream noted."""
        path = self.folder / "notes.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(Project(tmp_path_factory.mktemp("answers")), FILE)
    yield made
    made.project.fairway("down")


def rest(line: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    with line:
        parts = []
        while part := line.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_models_come_in_and_go_out_wherever_they_stand(server: Server) -> None:
    book = {"title": "b", "price": "1.50"}
    status, answer = server.ask("order", {"item": book, "where": [1, 2], "day": "2026-11-28"})
    assert status == 200
    assert answer == {"first": {"kind": "book", **book}, "rest": {}, "where": [1, 2], "day": "2026-11-28"}
    others = [{"kind": "book", "title": "c", "price": 2}, {"kind": "toy", "age": 3}]
    assert server.ask("order", {"item": book, "others": others})[1]["rest"]["c"]["price"] == "2"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"item": {"title": "t", "price": -70009}}, "field 'item': Input should be greater than 0 - at `$.price`"),
        ({"item": {"price": 1}}, "field 'item': Field required - at `$.title`"),
        ({"item": {"title": "t", "price": 1}, "others": [{"kind": "toy", "age": "x70009"}]}, "`$[0].toy.age`"),
        ({"item": {"title": "t", "price": 1}, "day": "x70009"}, "field 'day'"),
        ({"item": [70009]}, "field 'item'"),
    ],
)  # fmt: skip
def test_what_a_model_refuses_is_answered_in_its_words_with_the_path(
    server: Server, sent: object, said: str
) -> None:
    status, answer = server.ask("order", sent)
    assert (status, set(answer)) == (400, {"error"})
    assert said in answer["error"]
    assert "70009" not in answer["error"] or "day" in said
    assert "pydantic" not in answer["error"]


def test_models_streams_and_files_are_described(server: Server) -> None:
    def body(name: str) -> Any:
        return server.openapi(name)["paths"]["/"]["post"]["requestBody"]["content"]

    def answer(name: str) -> Any:
        return server.openapi(name)["paths"]["/"]["post"]["responses"]["200"]["content"]

    fields = body("order")["application/json"]["schema"]["properties"]
    assert fields["item"]["properties"]["title"]["type"] == "string"
    assert "$defs" not in json.dumps(server.openapi("order"))
    below = body("tree")["application/json"]["schema"]["properties"]["below"]["items"]["$ref"]
    assert below.rpartition("/")[2] in server.openapi("tree")["components"]["schemas"]
    assert answer("tokens")["application/x-ndjson"]["schema"] == {"type": "string"}
    assert "text/event-stream" in answer("tokens")
    form = body("keep")["multipart/form-data"]["schema"]
    assert form["properties"]["file"] == {"type": "string", "format": "binary"}
    assert (form["properties"]["factor"]["type"], form["required"]) == ("integer", ["file"])
    assert set(body("turn")) == {"multipart/form-data", "image/*"}
    assert list(answer("turn")) == ["image/png"]


@pytest.mark.parametrize("name", ["tokens", "later"])
def test_a_generator_is_answered_as_lines_or_events_on_a_connection_that_stays(
    server: Server, name: str
) -> None:
    connection = server.connect(name)
    for accept, kind, wanted in (
        ("*/*", "application/x-ndjson", b'"tok0 "\n"tok1 "\n'),
        ("text/event-stream", "text/event-stream", b'data: "tok0 "\n\ndata: "tok1 "\n\n'),
    ):
        headers = {"Content-Type": "application/json", "Accept": accept}
        connection.request("POST", "/", b'{"n": 2}', headers)
        if connection.sock is not None:
            first = connection.sock
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-type"], answer.read()) == (200, kind, wanted)
        assert connection.sock is first
    old = rest(server.post(name, {"n": 2}, version="1.0"))
    assert b"transfer-encoding" not in old
    assert old.endswith(b'\r\n\r\n"tok0 "\n"tok1 "\n')
    assert server.ask(name, {"n": "many"})[0] == 400
    assert server.send(name, b'{"n": 0}', content_type="application/json").read() == b""


@pytest.mark.parametrize("name", ["tokens", "later"])
def test_a_client_that_leaves_closes_the_generator_and_frees_its_place(server: Server, name: str) -> None:
    lines = [server.post(name, {"n": 100000, "pause": 0.01, "name": f"{name}{i}"}) for i in range(12)]
    for line in lines:
        assert b"tok0" in line.recv(65536) + line.recv(65536)
    assert server.in_flight(name) == 12
    for line in lines:
        line.close()
    assert wait_for(lambda: all("closed" in server.notes(f"{name}{i}") for i in range(12)))
    assert wait_for(lambda: server.in_flight(name) == 0)
    assert wait_for(lambda: server.counted(name, 499) >= 12)


@pytest.mark.parametrize("name", ["tokens", "later"])
def test_a_generator_waits_for_a_client_that_does_not_read(server: Server, name: str) -> None:
    line = server.post(name, {"n": 1000, "size": 100_000, "name": f"slow-{name}"})
    assert b"tok0" in line.recv(1000)
    assert wait_for(lambda: len(server.notes(f"slow-{name}")) > 5)
    before = -1
    while before != (now := len(server.notes(f"slow-{name}"))):
        before = now
        time.sleep(0.5)
    assert now < 300, "of 1000, some are in the buffers of the system"
    content = b""
    while not content.endswith(b"0\r\n\r\n"):
        content += line.recv(2**20)
    line.close()
    assert content.count(b"tok") in (999, 1000), "the first may have been read before"
    assert server.notes(f"slow-{name}").count("made") == 1000


@pytest.mark.parametrize("name", ["tokens", "later"])
def test_an_exception_in_the_middle_ends_the_stream_with_an_id_and_without_its_end(
    server: Server, name: str
) -> None:
    before = server.counted(name, 500)
    answer = server.send(name, b'{"n": 5, "fail": 2}', content_type="application/json")
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    *items, last = broken.value.partial.splitlines()
    assert items == [b'"tok0 "', b'"tok1 "']
    error = json.loads(last)
    assert error["error"] == "internal error"
    assert f"error {error['id']}: Traceback" in server.project.fairway("logs", name).stdout
    events = rest(server.post(name, {"n": 5, "fail": 1}, "Accept: text/event-stream"))
    assert b'event: error\ndata: {"error":"internal error","id":"' in events
    assert not events.endswith(b"0\r\n\r\n")
    assert b"the inside" not in events
    status, body = server.ask(name, {"n": 5, "fail": 0})
    assert (status, set(body)) == (500, {"error", "id"}), "nothing was sent yet"
    assert wait_for(lambda: server.counted(name, 500) == before + 3)
    assert server.send(name, b'{"n": 1}', content_type="application/json").read() == b'"tok0 "\n'


def test_a_class_is_made_once_and_keeps_what_it_holds(server: Server) -> None:
    key = next(line.split(": ")[1] for line in server.told.splitlines() if "its key" in line)
    assert server.ask("Closed", 1)[0] == 401
    answers = [
        server.send("Closed", b"1", content_type="application/json", authorization=f"Bearer {key}").read()
        for _ in range(3)
    ]
    assert answers == [b"[11,1]", b"[12,1]", b"[13,1]"]


def test_a_form_fills_files_and_typed_fields(server: Server) -> None:
    status, answer = server.form(
        "keep", ("file", "../up/a b.txt", b"12345"), ("factor", "", b"3"), ("note", "", b"12"),
        ("tags", "", b"x"), ("tags", "", b"y"), ("more", "m", b"1"), ("more", "n", b"22"),
    )  # fmt: skip
    path = answer.pop("path")
    assert (status, answer) == (
        200,
        {"name": "a b.txt", "size": 15, "tags": ["x", "y"], "more": [1, 2], "note": "12"},
    )
    assert wait_for(lambda: not Path(path).exists())
    assert server.send("keep", b"raw", content_type="application/octet-stream").status == 415


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ([("file", "f", b""), ("factor", "", b"many")], 400, "field 'factor': Expected `int`"),
        ([("file", "f", b""), ("file", "g", b"")], 400, "came 2 times"),
        ([("file", "f", b""), ("what", "", b"")], 400, "unknown field 'what'"),
        ([("note", "", b"")], 400, "field 'file' is missing"),
        ([("file", "f", b""), ("note", "n", b"")], 400, "field 'note' is not a file"),
        ([("file", "f", b""), ("note", "", b"\xff")], 400, "not text in UTF-8"),
        ([("file", "f", b"")] + [("tags", "", b"x")] * 64, 413, "more than 64 parts"),
        ([("file", "f", b""), ("a" * 9000, "", b"")], 400, "not a valid form"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(server: Server, parts: Any, status: int, said: str) -> None:
    got, answer = server.form("keep", *parts)
    assert (got, said in answer["error"]) == (status, True), answer


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=other", "multipart/form-data"])
def test_a_form_without_its_boundary_is_refused(server: Server, kind: str) -> None:
    assert server.form("keep", ("file", "f", b""), content_type=kind)[0] == 400


@pytest.mark.parametrize(
    "header", [{"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}, {"host": "evil.example"}]
)
def test_a_form_of_another_site_is_refused(server: Server, header: dict[str, str]) -> None:
    assert server.form("keep", ("file", "f", b""), **header)[0] == 403


def test_pictures_and_bytes_come_alone_and_are_answered_as_what_they_are(server: Server) -> None:
    image = pytest.importorskip("PIL.Image")
    import io

    buffer = io.BytesIO()
    image.new("RGB", (3, 2), "red").save(buffer, "PNG")
    answer = server.send("turn", buffer.getvalue(), content_type="image/png")
    assert answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert image.open(io.BytesIO(answer.read())).size == (2, 3)
    status, refused = server.form("turn", ("picture", "p.png", b"no picture"))
    assert (status, "not a picture" in refused["error"]) == (400, True)
    assert "multipart/form-data" in server.ask("turn", "x")[1]["error"]
    streamed = server.send("chunks", b"12345678", content_type="application/octet-stream")
    assert (streamed.headers["content-type"], streamed.read()) == ("application/octet-stream", b"12345678")


def test_a_stream_that_is_under_way_is_finished_when_a_revision_replaces_its_own(server: Server) -> None:
    line = server.post("later", {"n": 30, "pause": 0.1, "name": "moved"})
    assert b"tok0" in line.recv(65536) + line.recv(65536)
    server.project.write(FILE.replace('"""Counts."""', '"""Counts again."""'))
    server.project.fairway("deploy", "project.py")
    content = b""
    while not content.endswith(b"0\r\n\r\n"):
        content += (part := line.recv(65536))
        assert part, content
    assert b"tok29" in content
    assert server.notes("moved")[-1] == "closed"
