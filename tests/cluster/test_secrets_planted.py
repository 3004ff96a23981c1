"""Secrets that a person has about them on their machine are found nowhere in the cluster after their run."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installation import PLANE, Installation, install, processes
from person import Person

from lab import audit as audit_log
from lab.kubectl import Kubectl, make_user
from lab.lab import Lab

PLANTED = {
    "variable": "planted-in-a-variable-7f3a",
    "url": "planted-in-an-address-91bc",
    "file": "planted-in-env-file-55d0",
    "parameters": "planted-in-parameters-0c1e",
    "kubeconfig": "planted-in-a-kubeconfig-77aa",
}
PROJECT = """
import os
import fairway as fw

ADDRESS = "postgres://ada:" + "-".join(["planted", "in", "an", "address", "91bc"]) + "@db/shop"
print("imported with", ADDRESS, os.environ.get("SHOP_PASSWORD"), os.environ.get("DATABASE"))


@fw.task(cpu=0.1)
def show(limit: int) -> int:
    print("variables", sorted(os.environ.items()))
    if os.path.exists(".env"):
        print("file", open(".env").read())
    print("stray", ADDRESS)
    return limit


@fw.task(cpu=0.1)
def fails(limit: int) -> int:
    raise ValueError(f"no luck with {ADDRESS} and {os.environ.get('SHOP_PASSWORD')}")


@fw.pipeline
def main(limit: int = 1, password: str = "") -> int:
    return fails(show(limit))
"""


@pytest.fixture(scope="module")
def installation(kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]) -> Installation:
    """An installation that a person with secrets runs something on."""
    return install(kubectl, registry, make_namespace())


@pytest.fixture
def person(installation: Installation, kubectl: Kubectl, tmp_path: Path) -> Person:
    """A person with a secret in every place where one has secrets."""
    namespace = installation.kubectl.namespace
    config = json.loads(make_user(kubectl, tmp_path, "admin", namespace).read_text())
    config["users"][0]["user"]["x-note"] = PLANTED["kubeconfig"]
    config["users"].append({"name": "other", "user": {"token": PLANTED["kubeconfig"]}})
    path = tmp_path / "kubeconfig.json"
    path.write_text(json.dumps(config))
    found = Person(path, namespace, tmp_path, "shop")
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "flow.py").write_text(PROJECT)
    (shop / ".env").write_text(f"API_TOKEN={PLANTED['file']}\n")
    (shop / "settings.json").write_text(json.dumps({"password": PLANTED["parameters"]}))
    return found


def stored(installation: Installation) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the control plane's volume."""
    (pod,) = installation.pods(PLANE)
    for process in processes(pod["metadata"]["uid"]):
        for path in Path(f"/proc/{process}/root/var/lib/fairway").rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()


def found_in(name: str, data: bytes, where: str) -> list[str]:
    """Return the place of a secret in some bytes, also of compressed ones."""
    texts = [data]
    if data[:2] == b"\x1f\x8b":
        texts.append(gzip.decompress(data))
    return [where] if any(PLANTED[name].encode() in text for text in texts) else []


def test_planted_secrets_are_found_nowhere(
    installation: Installation,
    person: Person,
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    measured: Callable[..., None],
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", PLANTED["variable"])
    monkeypatch.setenv("DATABASE", f"postgres://ada:{PLANTED['url']}@db/shop")
    began = audit_log.path().stat().st_size
    person.does("target", "add", "team", "--namespace", person.namespace)
    refused = person.fails("run", "flow.py", "--target", "team")
    assert ".env" in refused
    (person.home / "shop" / ".gitignore").write_text(".env\nsettings.json\n")
    refused += person.fails("run", "flow.py", "--config", "settings.json", "--target", "team")
    assert "settings.json is not sent" in refused
    refused += person.fails("run", "flow.py", "--password", PLANTED["parameters"], "--target", "team")
    assert "password is a secret by its name" in refused
    done = person.run("run", "flow.py", "--target", "team")
    assert done.returncode == 1, done.stderr
    assert "no luck" in done.stderr
    told = {"what the commands told": (done.stdout + done.stderr + refused).encode()}
    kubectl = installation.kubectl
    kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    told["objects"] = kubectl("get", ",".join(kinds), "-o", "json", check=False, seconds=120).encode()
    told["events"] = kubectl("get", "events", "-o", "json").encode()
    told["log of the control plane"] = installation.log().encode()
    with audit_log.path().open("rb") as log:
        log.seek(began)
        told["audit log"] = log.read()
    files = dict(stored(installation))
    assert len(told["objects"]) > 10_000
    assert any(path.endswith("fairway.db") for path in files)
    assert any(b"stray" in data for data in files.values()), "the output of the run is among what is searched"
    places = [
        place
        for name in PLANTED
        for where, data in {**told, **files}.items()
        for place in found_in(name, data, where)
    ]
    assert places == []
    measured(
        "C7",
        "Secrets in variables, an .env file, a file of parameters, a kubeconfig and addresses, searched for after a run",
        goal="0 found",
        secrets=len(PLANTED),
        objects_kb=len(told["objects"]) // 1000,
        files_of_the_store=len(files),
        audit_kb=len(told["audit log"]) // 1000,
        found=len(places),
    )
