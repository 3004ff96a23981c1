"""Endpoints that are functions of a project file, by the real command line and over real connections."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from projects import wait_for

FILE = '''
import asyncio
from dataclasses import dataclass
from typing import Literal

import fairway as fw

@dataclass
class Person:
    name: str
    age: int
    plan: Literal["free", "paid"] = "free"

@dataclass
class Verdict:
    risk: float
    why: list[str]

@fw.endpoint
def judge(person: Person) -> Verdict:
    """How likely somebody leaves."""
    if person.age < 0:
        raise ValueError("secret detail of the inside")
    return Verdict(risk=person.age / 100, why=[person.name, person.plan])

@fw.endpoint
def add(a: int, b: int = 10) -> int:
    return a + b

sizes: list[int] = []

@fw.endpoint(replicas=1)
def sizes_of(xs: list[float]) -> list[int]:
    import time
    time.sleep(0.05)
    if -1.0 in xs:
        raise ValueError("no")
    return [len(xs) for _ in xs]

@fw.endpoint(replicas=1)
async def slowly(x: float) -> float:
    await asyncio.sleep(0.5)
    return x

@fw.endpoint(replicas=1)
def leave(how: str) -> int:
    import os
    import sys
    if how == "exit":
        sys.exit("done")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "stop":
        raise StopIteration(1)
    if how == "cancel":
        raise asyncio.CancelledError
    if how == "base":
        raise Base("of its own kind")
    if how == "surrogates":
        raise ValueError("data-\\udcff.csv")
    if how == "long":
        raise ValueError("x" * 10**7)
    if how == "no text":
        raise NoText
    return os.getpid()

class Base(BaseException):
    pass

class NoText(Exception):
    def __str__(self):
        raise RuntimeError

@fw.endpoint(replicas=1)
async def leave_later(how: str) -> int:
    await asyncio.sleep(0)
    return leave(how)

@fw.endpoint(private=True, name="closed")
def hidden(x: float) -> float:
    return -x
'''


class Server:
    """The endpoints of one file, deployed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "file.py").write_text(FILE)
        self.told = self.fairway("deploy", "file.py")
        self.urls = {status["name"]: status["url"] for status in self.endpoints()}

    def fairway(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        environment["FAIRWAY_HOME"] = str(self.folder / ".fairway")
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def endpoints(self) -> Any:
        return msgspec.json.decode(self.fairway("endpoints", "--json").stdout)

    def ask(
        self, name: str, value: object, method: str = "POST", path: str = "/", **headers: str
    ) -> tuple[int, Any]:
        port = int(self.urls[name].split("/")[2].rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("functions"))
    yield made
    made.fairway("down")


def test_all_endpoints_of_a_file_are_deployed_and_said(server: Server) -> None:
    assert sorted(server.urls) == ["add", "closed", "judge", "leave", "leave_later", "sizes_of", "slowly"]
    assert "judge  revision 1  function judge, 1 replica" in server.told.stderr
    assert "closed  revision 1  function closed" in server.told.stderr
    assert server.told.stderr.count("its key, shown this once") == 1
    assert "samples" not in server.told.stderr
    assert "--name" not in server.told.stderr
    refused = server.fairway("deploy", "file.py", "--port", "8123", code=2)
    assert "7 endpoints, which cannot share a name or port" in refused.stderr


def test_typed_values_come_in_and_go_out(server: Server) -> None:
    assert server.ask("judge", {"name": "Ada", "age": 36}) == (200, {"risk": 0.36, "why": ["Ada", "free"]})
    assert server.ask("add", {"a": 1, "b": 2}) == (200, 3)
    assert server.ask("add", {"a": 1}) == (200, 11)
    described = server.ask("judge", b"", "GET", "/openapi.json")[1]
    body = described["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert all(f'"{name}"' in msgspec.json.encode(body).decode() for name in ("name", "age", "plan", "paid"))


def test_a_function_is_known_by_its_revision_too(server: Server) -> None:
    for base in ("/v2/models/add", "/v2/models/add/versions/1"):
        assert server.ask("add", b"", "GET", base)[1]["versions"] == ["1"]
        assert server.ask("add", b"", "GET", f"{base}/ready") == (200, {"name": "add", "ready": True})
        status, answer = server.ask("add", {"inputs": []}, path=f"{base}/infer")
        assert status == 404
        assert "send its JSON to /" in answer["error"]
    assert server.ask("add", b"", "GET", "/v2/models/add/versions/2")[0] == 404


def test_what_an_endpoint_says_of_itself_is_what_it_takes(server: Server) -> None:
    def wanted(name: str) -> dict[str, Any]:
        paths = server.ask(name, b"", "GET", "/openapi.json")[1]["paths"]
        assert not any(path.endswith("/infer") for path in paths)
        return paths["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert wanted("add") == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert wanted("slowly") == {"type": "number"}
    assert server.ask("slowly", [1.0])[0] == 400
    several = {"type": "array", "items": {"type": "number"}, "minItems": 1}
    assert wanted("sizes_of") == {"anyOf": [{"type": "number"}, several]}
    assert server.ask("sizes_of", [1.0, 2.0])[0] == 200


@pytest.mark.parametrize(
    ("name", "sent", "said"),
    [
        ("judge", {"name": "Ada"}, "age"),
        ("judge", {"name": "Ada", "age": "36"}, "age"),
        ("judge", {"name": "Ada", "age": 3, "plan": "gold"}, "gold"),
        ("judge", [1], "object"),
        ("judge", b"{", "JSON"),
        ("add", {"a": 1, "c": 2}, "unknown field 'c'"),
        ("add", {"b": 1}, "'a' is missing"),
        ("add", {"a": 1.5}, "field 'a'"),
        ("sizes_of", "text", "float"),
        ("sizes_of", [1.0, "text"], "float"),
        ("sizes_of", [], "at least one row"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field(
    server: Server, name: str, sent: object, said: str
) -> None:
    status, answer = server.ask(name, sent)
    assert status == 400
    assert said in answer["error"]


def test_an_exception_ends_its_request_alone_and_tells_nothing_of_the_inside(server: Server) -> None:
    status, answer = server.ask("judge", {"name": "Ada", "age": -1})
    assert status == 500
    assert set(answer) == {"error", "id"}
    assert "secret" not in str(answer)
    logs = server.folder / ".fairway" / "endpoints" / "judge"

    def told() -> bool:
        texts = [path.read_text() for path in logs.glob("r1/*.log")]
        return any(answer["id"] in text and "secret detail of the inside" in text for text in texts)

    assert wait_for(told)
    assert server.ask("judge", {"name": "Ada", "age": 1})[0] == 200


@pytest.mark.parametrize("name", ["leave", "leave_later"])
def test_an_exception_of_any_kind_ends_its_request_and_not_its_worker(server: Server, name: str) -> None:
    before = server.ask(name, "stay")
    told = {
        "exit": "SystemExit: done",
        "interrupt": "KeyboardInterrupt",
        "stop": "StopIteration",
        "cancel": "CancelledError",
        "base": "Base: of its own kind",
        "surrogates": "ValueError: data-\\udcff.csv",
        "long": "characters left out",
        "no text": "NoText: <exception str() failed>",
    }
    ids: dict[str, str] = {}
    for how in told:
        status, answer = server.ask(name, how)
        assert (status, set(answer)) == (500, {"error", "id"}), how
        ids[how] = answer["id"]
    assert server.ask(name, "stay") == before
    logs = server.folder / ".fairway" / "endpoints" / name

    def log() -> str:
        return "".join(path.read_text() for path in logs.glob("r1/*.log"))

    assert wait_for(lambda: all(number in log() for number in ids.values()))
    assert wait_for(lambda: told[list(told)[-1]] in log().partition(list(ids.values())[-1])[2])
    written = log()
    assert len(written) < 10**6
    for how, expected in told.items():
        own = written.partition(ids[how])[2].partition("\nerror ")[0]
        assert expected in own, how
        assert "in leave" in own, how


def test_media_types_are_read_whatever_their_case(server: Server) -> None:
    assert server.ask("add", {"a": 1}, **{"content-type": "Application/JSON; charset=utf-8"}) == (200, 11)
    status, answer = server.ask("add", {"a": 1}, **{"content-type": "text/plain"})
    assert (status, "Content-Type: application/json" in answer["error"]) == (415, True)


def test_lists_are_filled_from_requests_that_arrive_together(server: Server) -> None:
    assert server.ask("sizes_of", [1.0, 2.0, 3.0]) == (200, [3, 3, 3])
    with ThreadPoolExecutor(16) as pool:
        sizes = [answer for _, answer in pool.map(lambda _: server.ask("sizes_of", 1.0), range(48))]
    assert max(sizes) > 1
    with ThreadPoolExecutor(8) as pool:
        mixed = list(pool.map(lambda one: server.ask("sizes_of", -1.0 if one == 3 else 1.0)[0], range(8)))
    assert sorted(mixed) == [200] * 7 + [500], "one bad element does not spoil the others"


def test_async_functions_wait_together(server: Server) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda one: server.ask("slowly", float(one)), range(40)))
    assert answers == [(200, float(one)) for one in range(40)]
    assert len({status["name"] for status in server.endpoints() if status["ready"] == status["workers"]}) == 7


def test_a_private_endpoint_needs_its_key(server: Server) -> None:
    key = next(line.split(": ")[1] for line in server.told.stderr.splitlines() if "its key" in line)
    assert server.ask("closed", 1.0)[0] == 401
    assert server.ask("closed", 1.0, authorization="Bearer wrong")[0] == 401
    assert server.ask("closed", b"", "GET", "/openapi.json")[0] == 401
    assert server.ask("closed", 1.0, authorization=f"Bearer {key}") == (200, -1.0)


def test_what_a_platform_cannot_do_with_an_endpoint_is_said(server: Server) -> None:
    assert "no revision before 1" in server.fairway("rollback", "add", code=4).stderr
    assert "serves already" in server.fairway("rollback", "add", "1", code=2).stderr
    assert "no revision 7" in server.fairway("rollback", "add", "7", code=4).stderr
    assert "no endpoint 'nobody'" in server.fairway("rollback", "nobody", code=4).stderr
    assert "no endpoint 'nobody'" in server.fairway("undeploy", "nobody", code=4).stderr


def test_endpoints_and_their_revisions_survive_the_platform(server: Server) -> None:
    (server.folder / "file.py").write_text(FILE.replace("a + b", "a * b"))
    server.fairway("deploy", "file.py")
    assert server.ask("add", {"a": 3, "b": 4}) == (200, 12)
    server.fairway("down")
    assert [status["phase"] for status in server.endpoints()] == ["Stopped"] * 7
    server.fairway("up")
    assert server.fairway("rollback", "add").stderr.startswith("add  revision 1  function add, 1 replica")
    assert server.ask("add", {"a": 3, "b": 4}) == (200, 7)
    assert server.ask("judge", {"name": "Ada", "age": 1})[0] == 200


def test_what_an_endpoint_printed_is_found_by_its_name_and_the_id_of_an_error(server: Server) -> None:
    status, body = server.ask("judge", {"name": "a", "age": -1})
    assert status == 500
    said = server.fairway("logs", "judge").stdout
    assert f" worker 1 | error {body['id']}: Traceback" in said
    assert "ValueError: secret detail of the inside" in said
    first = msgspec.json.decode(server.fairway("logs", "judge", "--json").stdout.splitlines()[0])
    assert (first["endpoint"], first["revision"] in (1, 2), first["worker"]) == ("judge", True, 1)
    assert "there is no run 'nobody'" in server.fairway("logs", "nobody", code=4).stderr
