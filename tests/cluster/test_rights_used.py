"""The rights that are used in a cluster, compared with those that are granted, by the API server's own log."""

import json
import os
from collections.abc import Callable

from cluster.person import Person
from fairway.cluster import rights
from lab.audit import Asked
from lab.kubectl import Kubectl, MakeUser

PROJECT = """
import fairway as fw

@fw.task
def double(number: int) -> int:
    print("doubling", number)
    return 2 * number

@fw.pipeline
def main(number: int = 3) -> int:
    return double(double(number))

@fw.endpoint(replicas=(2, 3))
def halve(number: float) -> float:
    return number / 2
"""

RARE = {
    # A Job is read when the answer to its creation was lost, and an event when a pod does not start.
    ("get", "jobs"),
    ("list", "events"),
    # The output of a pod is read when it ended before it said anything.
    ("get", "pods/log"),
    # A ConfigMap goes when its revision was taken back, or is older than the last ten.
    ("delete", "configmaps"),
}
APPLIED = {
    ("create", resource)
    for resource in (
        "configmaps", "deployments", "horizontalpodautoscalers", "networkpolicies", "poddisruptionbudgets", "services",
    )
}  # fmt: skip
"""An apply that makes an object needs these rights, and is logged as a patch."""


def test_the_control_plane_uses_what_it_may_and_asks_for_nothing_else(
    user: MakeUser,
    namespace: str,
    kubectl: Kubectl,
    tmp_path,
    registry: str,
    audit: Callable[[], list[Asked]],
) -> None:
    admin = Person(user("admin"), namespace, tmp_path)
    base = os.environ.get("FAIRWAY_LAB_BASE", f"{registry}/python:3.11")
    words = ("--registry", f"{registry}/fairway-test", "--insecure", "--base", base, "--python", "3.11")
    admin.does("install", *words)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "flow.py").write_text(PROJECT, "utf-8")
    editor = Person(user("edit"), namespace, tmp_path, "shop")
    editor.does("target", "add", "team", "--namespace", namespace)
    done = editor.run("run", "flow.py", "--target", "team")
    assert done.returncode == 0, done.stderr
    for verb in (("deploy", "flow.py"), ("deploy", "flow.py"), ("rollback", "halve"), ("undeploy", "halve")):
        done = editor.run(*verb, "--target", "team")
        assert done.returncode == 0, done.stderr
    admin.does("uninstall", "--yes")

    account = f"system:serviceaccount:{namespace}:fairway"
    asked = [call for call in audit() if call.user == account]
    assert [call for call in asked if not call.allowed] == []
    reviews = {"selfsubjectreviews"}
    used = {(call.verb, call.resource) for call in asked if call.resource not in reviews}
    granted = {(right.verb, right.resource) for right in rights.granted()}
    assert used <= granted
    assert granted - used <= RARE | APPLIED
    others = [call for call in audit() if call.user.startswith(f"system:serviceaccount:{namespace}:fairway-")]
    assert {call.resource for call in others} <= reviews
    config = json.loads(kubectl.inside(namespace)("get", "all", "-o", "json"))
    assert config["items"] == []
