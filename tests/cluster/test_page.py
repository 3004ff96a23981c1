"""The page of a team on a cluster: served on the person's machine, with the rights that the person has in the namespace."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from teams import FUNCTION, Team

from lab.kubectl import make_user

RIGHTS = (
    ("way", ("--verb=get,create", "--resource=services/proxy")),
    ("token", ("--verb=create", "--resource=serviceaccounts/token", "--resource-name=fairway-viewer")),
)
"""What a person needs who may only look."""


@contextmanager
def page(kubeconfig: Path, namespace: str) -> Iterator[tuple[int, str]]:
    """Serve the page for a person for the time of a block. Return its port and the path that lets a browser in."""
    home = kubeconfig.parent
    direct = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}
    environment = direct | {
        "KUBECONFIG": str(kubeconfig),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    fairway = [sys.executable, "-m", "fairway"]
    subprocess.run(
        [*fairway, "target", "add", "team", "--namespace", namespace],
        env=environment,
        check=True,
        timeout=120,
    )
    process = subprocess.Popen(
        [*fairway, "ui", "--no-browser", "--target", "team"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/enter\?code=[\w-]+)\n", process.stdout.readline())
        assert found is not None
        yield int(found[1]), found[2]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout is not None
        process.stdout.close()


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """Ask the page."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        line.request("GET", path, headers=headers)
        answer = line.getresponse()
        return (
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode(),
        )
    finally:
        line.close()


def test_the_page_of_a_target_has_the_rights_of_the_person_and_shows_what_is_there(
    team: Team, tmp_path: Path
) -> None:
    deployed = team.serve("double", FUNCTION.format(name="double", factor=2))
    assert deployed.status.ready
    there = team.kubectl
    for word, user in (("deployer", "admin"), ("viewer", "")):
        home = tmp_path / word
        home.mkdir()
        person = make_user(there, home, user, there.namespace, f"person-{word}")
        for name, rights in () if user else RIGHTS:
            there("create", "role", f"{word}-{name}", *rights)
            account = f"{there.namespace}:person-{word}"
            there(
                "create",
                "rolebinding",
                f"{word}-{name}",
                f"--role={word}-{name}",
                f"--serviceaccount={account}",
            )
        with page(person, there.namespace) as (port, address):
            assert get(port, "/")[0] == 401
            status, headers, _ = get(port, address)
            assert status == 303
            cookie = headers["set-cookie"].partition(";")[0]
            assert get(port, address)[0] == 401, "a code is good once"
            status, _, text = get(port, "/", cookie=cookie)
            assert status == 200
            assert f"fairway-{word}" in text
            assert get(port, "/api/v1/runs", cookie=cookie)[0] == 401, "the page of a target has no API"


def test_the_record_of_a_cluster_names_the_account_that_deployed(team: Team) -> None:
    team.serve("triple", FUNCTION.format(name="triple", factor=3))
    kubectl = team.kubectl
    token = kubectl("create", "token", "fairway-viewer").strip()
    address = kubectl.json("get", "service", "fairway")["spec"]["clusterIP"]
    line = http.client.HTTPConnection(address, 7700, timeout=60)
    try:
        body = json.dumps({"kind": "endpoint", "name": "triple"})
        line.request(
            "POST", "/api/v1/deeds", body, {"X-Fairway-Token": token, "content-type": "application/json"}
        )
        told = json.loads(line.getresponse().read())
    finally:
        line.close()
    assert [(one["who"], one["did"]) for one in told] == [("fairway-deployer", "deployed")]
