"""Who may look and who may act: roles × routes × methods, forms of other sites, headers, and the ways in, from the tables."""

import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from fronts import COOKIE, FORM, HOST, LINK, METHODS, TOKEN, WANTED, Front, Untouched, ask, bearer, run
from starlette.responses import Response
from starlette.routing import compile_path

from fairway.control.peers import Peers
from fairway.control.routes import Entry
from fairway.control.sessions import OWNER, SESSION_SECONDS
from fairway.pages.site import Site
from fairway.pages.visit import View, Visit
from fairway.server import errorlog
from fairway.spec.access import Role


@pytest.fixture
def made(tmp_path: Path) -> Front:
    """A front with a person of each role."""
    return Front(tmp_path)


@pytest.mark.parametrize("role", Role, ids=lambda role: role.word)
def test_a_route_is_open_to_its_role_and_the_higher_ones_by_its_own_method_alone(
    made: Front, role: Role
) -> None:
    async def work() -> None:
        cookie = made.cookie(role)
        patterns = [(one, compile_path(one.path)[0]) for one, _ in made.routes()]
        paths = sorted({path for _, path in made.routes()})
        assert len(paths) > 40
        for path, method in itertools.product(paths, METHODS):
            wanted = "GET" if method == "HEAD" else method
            one = next((one for one, fits in patterns if one.method == wanted and fits.match(path)), None)
            needed = one.role if one is not None else None
            is_open = isinstance(one, Entry) and one.policy == "public"
            right = 200 if is_open or (needed is not None and role >= needed) else 403
            answer = await ask(made.app, method, path, bearer(made.of_role[role]))
            assert answer.status == (405 if one is None else right), (method, path)
            shown = await ask(made.app, method, path, cookie)
            is_page = isinstance(one, View) or (
                one is None and not path.startswith(("/api/", "/healthz", "/readyz"))
            )
            expected = answer.status if is_page or path in ("/healthz", "/readyz") else 401
            assert shown.status == expected, ("cookie", method, path)
            nobody = await ask(made.app, method, path)
            assert nobody.status == (answer.status if path in ("/healthz", "/readyz") else 401), (
                "nobody",
                method,
                path,
            )

    run(work)


def test_what_one_may_not_do_is_refused_with_the_role_that_is_missing_and_logged(
    made: Front, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errorlog, "_allowance", errorlog._Allowance())

    async def work() -> None:
        answer = await ask(made.app, "POST", "/api/v1/deploy", bearer(made.of_role[Role.VIEWER]))
        assert answer.status == 403
        assert "this needs the role deployer, and viewer has viewer" in answer.text
        answer = await ask(made.app, "GET", "/system/tokens", made.cookie(Role.DEPLOYER))
        assert answer.status == 403
        assert "this needs the role administrator, and deployer has deployer" in answer.text

    run(work)
    said = capsys.readouterr().err
    assert '"refused": "POST /api/v1/deploy", "who": "viewer", "role": "viewer"' in said
    assert '"refused": "GET /system/tokens", "who": "deployer", "role": "deployer"' in said


def test_a_form_that_no_page_of_the_session_made_changes_nothing(tmp_path: Path) -> None:
    made = Front(tmp_path, Site)
    Untouched.asked = 0

    async def work() -> None:
        cookie, other = made.cookie(Role.ADMINISTRATOR), made.cookie(Role.ADMINISTRATOR)
        actor = made.known.in_session(other[1].partition("=")[2])
        assert actor is not None
        assert len(actor.proof) == 64
        forged = ["", "x", actor.proof, made.of_role[Role.ADMINISTRATOR], cookie[1].partition("=")[2]]
        posts = [path for one, path in made.routes() if isinstance(one, View) and one.method == "POST"]
        for path, proof in itertools.product([*posts, "/leave"], forged):
            sent = urlencode({"token": proof, "name": "churn", "version": "1"}).encode()
            for tried in (
                await ask(made.app, "POST", path, cookie, FORM, body=sent),
                await ask(made.app, "POST", f"{path}?token={proof}", cookie, FORM, body=b""),
                await ask(made.app, "POST", path, cookie, ("content-type", "text/plain"), body=sent),
                await ask(made.app, "POST", path, cookie, ("content-type", "application/json"), body=b"{}"),
            ):
                assert tried.status == 403, (path, proof, tried.text)
                assert "not from a page of this session" in tried.text

    run(work)
    assert Untouched.asked == 0


def test_a_form_of_another_site_is_refused_before_anything_else(made: Front) -> None:
    async def work() -> None:
        cookie = made.cookie(Role.ADMINISTRATOR)
        for one, path in made.routes():
            for foreign in (
                (("origin", "http://evil.example"),), (("origin", "null"),), (("origin", "http://127.0.0.1:7701"),),
                (("sec-fetch-site", "cross-site"),), (("sec-fetch-site", "same-site"),),
                (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")),
                (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")),
                (*LINK, ("origin", "http://evil.example")), (*LINK, ("sec-fetch-site", "none")),
            ):  # fmt: skip
                assert (await ask(made.app, one.method, path, cookie, *foreign)).status == 403, (
                    path,
                    foreign,
                )
            if one.method != "GET" or path.startswith(("/api/", "/healthz", "/readyz")):
                assert (await ask(made.app, one.method, path, cookie, *LINK)).status == 403, path

    run(work)


def test_a_link_of_another_site_leads_to_the_page_by_a_page_that_holds_nothing(made: Front) -> None:
    async def work() -> None:
        cookie = made.cookie(Role.VIEWER)
        for given, wanted in (
            ("/runs?phase=failed&b=%22", "/runs?phase=failed&amp;b=%22"), ("//evil.example/x", "//evil.example/x"),
            ('/x"><script>', "/x%22%3E%3Cscript%3E"), ("/%2e%2e/x", "/%2e%2e/x"), ("/x;url=//evil", "/x;url=//evil"),
        ):  # fmt: skip
            answer = await ask(made.app, "GET", given, cookie, *LINK)
            assert answer.status == 200
            assert f'content="0; url=http://{HOST}{wanted}"' in answer.text
            assert "reached" not in answer.text
            assert "set-cookie" not in answer.headers
        followed = await ask(made.app, "GET", "/", cookie, ("sec-fetch-site", "same-origin"), *LINK[1:])
        assert followed.text == "reached"
        assert (await ask(made.app, "GET", "/enter?code=x", *LINK)).status == 403

    run(work)


def test_every_answer_says_that_it_is_not_kept_guessed_or_framed(tmp_path: Path) -> None:
    made = Front(tmp_path)

    async def work() -> None:
        cookie = made.cookie(Role.VIEWER)
        paths = [
            *dict.fromkeys(path for _, path in made.routes()),
            "/enter",
            "/enter?code=x",
            "/leave",
            "/nothing",
            "/api/no",
        ]
        for path, method, who in itertools.product(
            paths, METHODS, ((), cookie, bearer(TOKEN), ("host", "evil.example"))
        ):
            answer = await ask(made.app, method, path, *((who,) if who else ()))
            assert {name: answer.headers.get(name) for name in WANTED} == WANTED, (
                method,
                path,
                who,
                answer.status,
            )
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert "http:" not in policy
        for path in made.site.open_paths():
            answer = await ask(made.app, "GET", path)
            assert "immutable" in answer.headers["cache-control"]
            assert {name: answer.headers.get(name) for name in WANTED if name != "cache-control"} == {
                name: value for name, value in WANTED.items() if name != "cache-control"
            }

    run(work)


def test_a_visit_of_somebody_unknown_is_told_how_to_get_in_and_nothing_else(tmp_path: Path) -> None:
    made = Front(tmp_path, Site)
    Untouched.asked = 0

    async def work() -> None:
        for one, path in made.routes():
            if isinstance(one, View):
                answer = await ask(made.app, one.method, path, ("accept", "text/html,*/*;q=0.8"))
                assert answer.status == 401
                assert "<code>fairway ui</code>" in answer.text
                assert "/somewhere" not in answer.text
            elif one.policy != "public":
                answer = await ask(made.app, one.method, path, ("accept", "text/html,*/*;q=0.8"))
                assert answer.status == 401
                assert set(msgspec.json.decode(answer.text)) == {"error", "hint"}

    run(work)
    assert Untouched.asked == 0


def test_a_code_lets_a_browser_in_once(made: Front) -> None:
    async def work() -> None:
        code = made.known.codes.make(OWNER)
        ahead = await ask(made.app, "GET", f"/enter?code={code}", ("sec-purpose", "prefetch"))
        assert ahead.status == 403
        assert (await ask(made.app, "HEAD", f"/enter?code={code}")).status == 403
        let_in = await ask(made.app, "GET", f"/enter?code={code}")
        assert (let_in.status, let_in.headers["location"]) == (303, "/")
        cookie, *flags = let_in.headers["set-cookie"].split("; ")
        assert sorted(flags) == ["HttpOnly", f"Max-Age={SESSION_SECONDS}", "Path=/", "SameSite=strict"]
        assert cookie.startswith(f"{COOKIE}=")
        assert (await ask(made.app, "GET", "/", ("cookie", f"other=1; {cookie}"))).text == "reached"
        assert (await ask(made.app, "GET", "/", ("cookie", f"{cookie}; {cookie}"))).status == 401, (
            "two are ambiguous"
        )
        again = await ask(made.app, "GET", f"/enter?code={code}")
        assert again.status == 401
        assert "used already" in again.text
        assert "set-cookie" not in again.headers

    run(work)


def test_guessing_is_bounded(made: Front) -> None:
    async def work() -> None:
        codes = [(await ask(made.app, "GET", f"/enter?code=guess{number}")).status for number in range(25)]
        assert codes == [401] * 20 + [429] * 5
        right = made.known.codes.make(OWNER)
        assert (await ask(made.app, "GET", f"/enter?code={right}")).status == 429
        form = urlencode({"token": made.of_role[Role.VIEWER]}).encode()
        assert (await ask(made.app, "POST", "/enter", FORM, body=form)).status == 429
        assert (await ask(made.app, "GET", "/", made.cookie(Role.VIEWER))).status == 200, "who is in stays in"

    run(work)


def test_a_person_enters_with_a_token_and_is_led_to_the_page_that_was_wanted(made: Front) -> None:
    async def work() -> None:
        for to, led in (("/runs?a=b", "/runs?a=b"), ("//evil.example", "/"), ("/\\evil.example", "/"),
                        ("http://evil.example", "/"), ("/x\r\nset-cookie: a=b", "/"), ("", "/")):  # fmt: skip
            form = urlencode({"token": f" {made.of_role[Role.RUNNER]}\n", "to": to}).encode()
            answer = await ask(made.app, "POST", "/enter", FORM, body=form)
            assert (answer.status, answer.headers["location"]) == (303, led)
        for wrong in ("", "fw_", "\udc80", made.of_role[Role.RUNNER].upper(), "a" * 100_000):
            form = urlencode({"token": wrong}, errors="surrogateescape").encode()
            assert (await ask(made.app, "POST", "/enter", FORM, body=form)).status in (400, 401)

    run(work)


def test_a_session_outlives_the_process_ends_in_time_and_ends_with_its_token(made: Front) -> None:
    async def work() -> None:
        cookie, owner = made.cookie(Role.RUNNER), ("cookie", f"{COOKIE}={made.known.sessions.begin(OWNER)}")
        made.start()
        assert (await ask(made.app, "GET", "/", cookie)).status == 200
        assert (await ask(made.app, "GET", "/", owner)).status == 200
        made.tokens.take("runner")
        made.tokens.give("runner", "administrator")
        assert (await ask(made.app, "GET", "/", cookie)).status == 401, (
            "a new token of that name is another one"
        )
        made.clock[0] += SESSION_SECONDS + 1
        assert (await ask(made.app, "GET", "/", owner)).status == 401
        made.start()
        assert (await ask(made.app, "GET", "/", owner)).status == 401

    run(work)


def test_leaving_ends_the_session(made: Front) -> None:
    async def work() -> None:
        cookie = made.cookie(Role.VIEWER)
        actor = made.known.in_session(cookie[1].partition("=")[2])
        assert actor is not None
        answer = await ask(
            made.app, "POST", "/leave", cookie, FORM, body=urlencode({"token": actor.proof}).encode()
        )
        assert (answer.status, answer.headers["location"]) == (303, "/enter")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert (await ask(made.app, "GET", "/", cookie)).status == 401

    run(work)


def test_neither_secrets_nor_tokens_are_kept(made: Front, tmp_path: Path) -> None:
    cookie = made.cookie(Role.VIEWER)[1].partition("=")[2]
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert held
    for secret in (cookie, *made.of_role.values(), TOKEN):
        assert secret.encode() not in held


def test_the_form_of_a_viewer_cannot_be_declared() -> None:
    async def handler(visit: Visit) -> Response:
        return Response()

    for method, role in (("POST", Role.VIEWER), ("DELETE", Role.ADMINISTRATOR)):
        with pytest.raises(ValueError, match="needs a role"):
            View(path="/x", handler=handler, role=role, method=method)


CONNECTED = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    sys.stdin.read()
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="needs root, to become another user of Linux"
)
def test_the_kernel_tells_whose_connection_it_is() -> None:
    peers = Peers()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        words = ["/usr/bin/env", "python3", "-I", "-c", CONNECTED, str(port)]
        with subprocess.Popen(words, user=4001, group=4001, cwd="/", stdin=subprocess.PIPE) as other:
            line, (host, client) = listening.accept()
            with line:
                assert peers.user({"client": (host, client), "server": ("127.0.0.1", port)}) == 4001
                assert peers.user({"client": ("10.0.0.1", client), "server": ("127.0.0.1", port)}) is None
                assert peers.user({"client": (host, port), "server": ("127.0.0.1", client)}) is None, (
                    "root forwards"
                )
                assert peers.user({"client": (host, 1), "server": ("127.0.0.1", 2)}) is None, "there is none"
            other.communicate(timeout=30)
    for unknown in (None, ("unix", None), ("127.0.0.1",)):
        assert peers.user({"client": unknown, "server": ("127.0.0.1", port)}) is None
    assert peers.user({}) is None


def test_a_cookie_is_good_for_the_user_with_whose_browser_it_began(
    made: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    users: list[int | None] = [1000]
    monkeypatch.setattr(made.known.peers, "user", lambda scope: users[0])
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    async def work() -> None:
        code = made.known.codes.make(OWNER)
        users[0] = 1001
        assert (await ask(made.app, "GET", f"/enter?code={code}")).status == 403, (
            "seen in the list of processes"
        )
        users[0] = 1000
        let_in = await ask(made.app, "GET", f"/enter?code={code}")
        assert let_in.status == 303, "the code is still good for its owner"
        cookie = ("cookie", let_in.headers["set-cookie"].partition(";")[0])
        for user, status in ((1000, 200), (None, 200), (1001, 401), (1000, 200)):
            users[0] = user
            assert (await ask(made.app, "GET", "/", cookie)).status == status, user

    run(work)
