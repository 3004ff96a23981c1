"""People at a platform: the page opens with a code, tokens have roles, and the record tells who did what."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from projects import Project, wait_for

from fairway.pages.site import Site

PROJECT = """
@fw.task
def wait(until: str) -> int:
    while not os.path.exists(until):
        time.sleep(0.02)
    return 1

@fw.pipeline
def main(until: str):
    wait(until)
"""
FORM = "application/x-www-form-urlencoded"


class Served(Project):
    """A project with a platform that runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.write(PROJECT)
        self.port = int(self.fairway("up").stdout.strip().rpartition(":")[2])

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        cookie: str = "",
        body: str | bytes = b"",
        kind: str = FORM,
    ) -> tuple[int, dict[str, str], str]:
        """Send a request to the platform."""
        headers = {"content-type": kind, "accept": "text/html"}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"cookie": cookie} if cookie else {}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.putrequest(method, path)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                line.putheader(name, value)
            line.endheaders(body.encode() if isinstance(body, str) else body)
            answer = line.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read().decode()
        finally:
            line.close()

    def api(self, method: str, path: str, token: str, value: object = None) -> tuple[int, object]:
        """Send a request to the API."""
        body = json.dumps(value or {})
        status, _, text = self.ask(method, f"/api/v1{path}", token=token, body=body, kind="application/json")
        return status, json.loads(text)

    def address(self) -> str:
        """The path that lets a browser in, from `fairway ui`."""
        return self.fairway("ui", "--no-browser").stdout.strip().partition(str(self.port))[2]

    def cookie(self) -> str:
        """The cookie of a new session of the owner."""
        status, headers, _ = self.ask("GET", self.address())
        assert status == 303
        return headers["set-cookie"].partition(";")[0]

    def token(self, name: str, role: str) -> str:
        """A new token."""
        return self.fairway("tokens", "add", name, "--role", role).stdout.strip()

    def audit(self, *words: str) -> list[dict[str, object]]:
        """Who did what."""
        return json.loads(self.fairway("audit", "--json", *words).stdout)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.fairway("down")


def test_the_page_opens_with_a_code_and_stays_open_when_the_platform_is_killed(served: Served) -> None:
    address = served.address()
    assert re.fullmatch(r"/enter\?code=[\w-]{43}", address)
    status, headers, _ = served.ask("GET", address)
    assert status == 303
    cookie = headers["set-cookie"].partition(";")[0]
    assert served.ask("GET", "/", cookie=cookie)[0] == 200
    again = served.ask("GET", address)
    assert (again[0], "set-cookie" in again[1]) == (401, False)
    assert "<code>fairway ui</code>" in again[2]
    place = json.loads((served.folder / ".fairway/platform/platform.json").read_text())
    os.kill(place["pid"], signal.SIGKILL)
    assert wait_for(lambda: not Path(f"/proc/{place['pid']}").exists() or served.fairway("up"))
    served.fairway("up")
    served.port = json.loads((served.folder / ".fairway/platform/platform.json").read_text())["port"]
    assert served.ask("GET", "/", cookie=cookie)[0] == 200
    assert served.ask("GET", "/")[0] == 401
    assert served.ask("GET", "/api/v1/runs", cookie=cookie)[0] == 401, "programs show a token"


def test_ui_starts_the_platform_and_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path)
    done = project.fairway("ui", "--no-browser")
    try:
        assert "platform started" in done.stderr
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?code=[\w-]{43}\n", done.stdout)
        said = json.loads(project.fairway("ui", "--json").stdout)
        assert said["url"] != done.stdout.strip()
    finally:
        project.fairway("down")


def test_without_a_browser_the_address_is_printed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        project.environment.pop(name, None)
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    try:
        done = project.fairway("ui")
        assert "there is no browser here" in done.stderr
        assert "/enter?code=" in done.stdout
        project.environment["BROWSER"] = str(browser)
        done = project.fairway("ui")
        assert done.stdout == ""
        assert wait_for(opened.exists)
        assert wait_for(lambda: "/enter?code=" in opened.read_text())
    finally:
        project.fairway("down")


def test_a_token_is_shown_once_has_a_role_and_is_taken_away_at_once(served: Served) -> None:
    token = served.token("ana", "viewer")
    assert re.fullmatch(r"fw_[\w-]{43}", token)
    listed = json.loads(served.fairway("tokens", "--json").stdout)
    assert [(one["name"], one["role"], one["used"]) for one in listed] == [("ana", "viewer", 0.0)]
    assert token not in served.fairway("tokens").stdout
    assert served.api("GET", "/me", token) == (200, {"name": "ana", "role": "viewer"})
    assert wait_for(lambda: json.loads(served.fairway("tokens", "--json").stdout)[0]["used"] > 0)
    status, said = served.api("POST", "/gc", token, {"hours": 0, "delete": True})
    assert status == 403
    assert said == {
        "error": "this needs the role deployer, and ana has viewer",
        "hint": "an administrator gives it: `fairway tokens`",
    }
    log = served.folder / ".fairway/platform/log"
    assert wait_for(lambda: '"refused": "POST /api/v1/gc", "who": "ana", "role": "viewer"' in log.read_text())
    status, headers, _ = served.ask("POST", "/enter", body=urlencode({"token": token, "to": "/runs"}))
    assert (status, headers["location"]) == (303, "/runs")
    cookie = headers["set-cookie"].partition(";")[0]
    assert served.ask("GET", "/", cookie=cookie)[0] == 200
    assert served.fairway("tokens", "add", "ana", expect=2).stderr.startswith(
        "error: ana has a token already"
    )
    served.fairway("tokens", "rm", "ana")
    assert served.api("GET", "/me", token)[0] == 401
    assert served.ask("GET", "/", cookie=cookie)[0] == 401
    assert "there is no token" in served.fairway("tokens", "rm", "ana", expect=4).stderr
    for wrong in ("", "a b", "../x", "x" * 65, "-x", "é"):
        assert served.fairway("tokens", "add", "--role", "viewer", "--", wrong, expect=2).stdout == ""
    for path in (served.folder / ".fairway").rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


def test_the_record_tells_who_did_what(served: Served) -> None:
    ana, bo = served.token("ana", "runner"), served.token("bo", "administrator")
    until = served.folder / "go"
    asked = {"file": str(served.folder / "project.py"), "pipeline": "main", "texts": {"until": [str(until)]}}
    status, said = served.api("POST", "/runs", ana, asked)
    assert status == 200, said
    assert isinstance(said, dict)
    run = said["run"]
    assert served.api("POST", f"/runs/{run}/note", bo, {"note": "why"})[0] == 200
    assert served.api("POST", f"/runs/{run}/cancel", bo)[0] == 200
    assert wait_for(lambda: json.loads(served.fairway("show", run, "--json").stdout)["phase"] == "Cancelled")
    served.fairway("tag", run, "odd")
    assert served.api("DELETE", "/tokens/ana", bo)[0] == 200
    me = served.audit("--limit", "1", "--kind", "run")[0]["who"]
    told = [(one["who"], one["kind"], one["did"], one["detail"]) for one in reversed(served.audit())]
    assert told == [
        (me, "token", "given", "runner"), (me, "token", "given", "administrator"), ("ana", "run", "started", "main"),
        ("bo", "run", "noted", "why"), ("bo", "run", "cancelled", ""), (me, "run", "tagged", "odd"),
        ("bo", "token", "taken", ""),
    ]  # fmt: skip
    assert [one["did"] for one in served.audit("--by", "bo", "--kind", "run")] == ["cancelled", "noted"]
    assert {one["name"] for one in served.audit(run)} == {run}
    newest = served.audit("--limit", "2")
    assert served.audit("--before", str(newest[-1]["number"]))[0]["number"] < newest[-1]["number"]  # type: ignore[operator]
    shown = served.fairway("audit", "--limit", "2")
    assert "bo" in shown.stdout
    assert "--before" in shown.stderr


def test_an_administrator_gives_and_takes_tokens_on_the_page(served: Served) -> None:
    cookie = served.cookie()
    _, _, text = served.ask("GET", "/system/tokens", cookie=cookie)
    (proof,) = set(re.findall(r'name="token" value="([0-9a-f]{64})"', text))
    form = {"token": proof, "name": "ana", "role": "deployer"}
    status, _, text = served.ask("POST", "/system/tokens", cookie=cookie, body=urlencode(form))
    assert status == 200
    (token,) = re.findall(r"fw_[\w-]{43}", text)
    assert served.api("GET", "/me", token) == (200, {"name": "ana", "role": "deployer"})
    assert token not in served.ask("GET", "/system/tokens", cookie=cookie)[2]
    status, _, text = served.ask(
        "POST", "/system/tokens", cookie=cookie, body=urlencode(form | {"name": "<b>"})
    )
    assert status == 400
    assert "&#39;&lt;b&gt;&#39; is no name for a token" in text
    seen = served.ask("GET", "/system/tokens", token=token)
    assert (seen[0], "this needs the role administrator, and ana has deployer" in seen[2]) == (403, True)
    status, headers, _ = served.ask(
        "POST", "/system/tokens/ana/take", cookie=cookie, body=urlencode({"token": proof})
    )
    assert (status, headers["location"]) == (303, "/system/tokens")
    assert served.api("GET", "/me", token)[0] == 401


def test_the_page_tells_who_changed_what(served: Served) -> None:
    cookie = served.cookie()
    assert "Nobody changed anything yet" in served.ask("GET", "/system/changes", cookie=cookie)[2]
    until = served.folder / "go"
    until.touch()
    served.fairway("run", "project.py", "--until", str(until))
    run = served.newest()
    served.fairway("note", run, "<script>alert(1)</script>")
    _, _, text = served.ask("GET", "/system/changes", cookie=cookie)
    assert f'<a href="/runs/{run}">{run}</a>' in text
    assert "&lt;script&gt;alert(1)" in text
    assert "noted" in text
    for path, right in (
        ("?kind=token", 200),
        ("?kind=x", 400),
        ("?before=x", 400),
        (f"?who=nobody&name={run}", 200),
    ):
        status, _, text = served.ask("GET", f"/system/changes{path}", cookie=cookie)
        assert status == right
        assert run not in text.replace(f'value="{run}"', "").replace(f"fairway audit {run}", "")


TRICKS = (
    "..", "../..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..%2f.fairway%2fplatform%2ftoken", "%00", "a%00b",
    "\\..\\..", "..%5c..%5cx", "%2f", "%2fetc%2fpasswd", "x" * 5000,
    "%ff%fe", "%f0%9f%92%a9", "%0d%0aset-cookie:%20a=b", "a%20b", "'\"--",
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "{{7*7}}", "%25%32%65", ".", "con", "*", "?x", ";x", "%e2%80%ae",
)  # fmt: skip


def test_no_trick_in_a_path_gets_more_than_a_page_that_there_is_nothing(served: Served) -> None:
    cookie = served.cookie()
    token = (served.folder / ".fairway/platform/token").read_text().strip()
    views = [view for view in Site(None, None).views() if view.method == "GET" and "/live" not in view.path]  # type: ignore[arg-type]
    # What the server itself refuses, because it is no request, never comes to a page.
    for view, trick in itertools.product(views, TRICKS):
        path = re.sub("{[^}]*}", lambda _: trick, view.path)  # noqa: B023
        status, headers, text = served.ask("GET", path, cookie=cookie)
        assert status < 500, (path[:100], status)
        assert token not in text
        assert "root:x:0" not in text
        assert "<script>alert" not in text
        assert not (status < 400 and "set-cookie" in headers)
        assert headers.get("x-content-type-options") == "nosniff", (path[:100], status, headers, text[:200])
    log = (served.folder / ".fairway/platform/log").read_text()
    assert "Traceback" not in log, log[:3000]


SHOWING = """
import http.client, sys
line = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
line.request(sys.argv[2], sys.argv[3], sys.argv[4], {"cookie": sys.argv[5], "content-type": sys.argv[6]})
answer = line.getresponse()
print(answer.status, (answer.getheader("set-cookie") or "").partition(";")[0])
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="needs root, to become other users of Linux"
)
def test_a_cookie_that_reached_another_user_of_the_machine_opens_nothing(served: Served) -> None:
    def show(user: int, method: str, path: str, body: str = "", cookie: str = "") -> list[str]:
        words = [
            "/usr/bin/env",
            "python3",
            "-I",
            "-c",
            SHOWING,
            str(served.port),
            method,
            path,
            body,
            cookie,
            FORM,
        ]
        done = subprocess.run(
            words, user=user, group=user, cwd="/", capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.split()

    token = served.token("ana", "viewer")
    status, cookie = show(4001, "POST", "/enter", urlencode({"token": token}))
    assert status == "303"
    assert show(4001, "GET", "/", cookie=cookie) == ["200"]
    assert show(4002, "GET", "/", cookie=cookie) == ["401"]
    assert served.ask("GET", "/", cookie=cookie)[0] == 200, "root forwards the connections of others"
