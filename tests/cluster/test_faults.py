"""The proxy before the API server: calls pass through it as they are, and fail as they are told."""

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.faults import FaultProxy
from lab.kubectl import Kubectl, MakeUser


@pytest.fixture
def proxied(kubectl: Kubectl, fault_proxy: FaultProxy, tmp_path: Path) -> Kubectl:
    """`kubectl` of the administrator, through the proxy."""
    shown = kubectl.json("config", "view", "--raw", "--flatten", "--minify")
    return kubectl.using(fault_proxy.kubeconfig(tmp_path / "proxied.json", shown))


def about(word: str) -> Callable[[str, str], bool]:
    """Return a rule about calls whose path has a word in it."""
    return lambda method, path: word in path


def test_users_keep_their_names_and_rights_behind_the_proxy(
    proxied: Kubectl, fault_proxy: FaultProxy, user: MakeUser, namespace: str, tmp_path: Path
) -> None:
    assert "fairway-lab-admin" in proxied("auth", "whoami")
    shown = json.loads(user("edit").read_text())
    editor = proxied.using(fault_proxy.kubeconfig(tmp_path / "editor.json", shown))
    assert f"system:serviceaccount:{namespace}:user-edit" in editor("auth", "whoami")
    assert "forbidden" in editor.run("get", "nodes").stderr


def test_exec_passes_the_proxy(proxied: Kubectl) -> None:
    found = proxied.json("get", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"][0]
    done = proxied.run("exec", "-n", "kube-system", found["metadata"]["name"], "--", "/coredns", "-version")
    assert done.stdout.startswith("CoreDNS"), done.stderr


def test_a_watch_passes_the_proxy_while_other_calls_go_on(proxied: Kubectl, namespace: str) -> None:
    there = proxied.inside(namespace)
    with ThreadPoolExecutor() as pool:
        seen = pool.submit(there, "wait", "--for=create", "configmap/late", "--timeout=30s")
        time.sleep(0.5)
        there("create", "configmap", "late")
        assert "condition met" in seen.result()


def test_a_call_is_answered_with_the_status_that_is_planted(
    proxied: Kubectl, fault_proxy: FaultProxy, namespace: str
) -> None:
    fault_proxy.faults.answer(500, where=about("/configmaps"))
    refused = proxied.inside(namespace).run("create", "configmap", "none")
    assert "a planted fault" in refused.stderr
    fault_proxy.faults.heal()
    assert "none" not in proxied.inside(namespace)("get", "configmaps")


def test_a_lost_answer_is_that_of_a_call_that_was_done(
    proxied: Kubectl, fault_proxy: FaultProxy, namespace: str
) -> None:
    there = proxied.inside(namespace)
    fault_proxy.faults.lose(where=lambda method, path: method == "POST" and "/configmaps" in path)
    assert there.run("create", "configmap", "done").returncode != 0
    fault_proxy.faults.heal()
    assert "configmap/done" in there("get", "configmap", "done", "-o", "name")


def test_a_silent_call_is_never_made(proxied: Kubectl, fault_proxy: FaultProxy, namespace: str) -> None:
    there = proxied.inside(namespace)
    fault_proxy.faults.silence(where=lambda method, path: method == "POST" and "/configmaps" in path)
    refused = there.run("create", "configmap", "never", "--request-timeout=1s")
    assert refused.returncode != 0
    fault_proxy.faults.heal()
    assert "never" not in there("get", "configmaps")


def test_a_cut_holds_calls_back_until_it_is_mended(proxied: Kubectl, fault_proxy: FaultProxy) -> None:
    proxied("get", "namespaces")
    fault_proxy.cut()
    with pytest.raises(subprocess.TimeoutExpired):
        proxied.run("get", "namespaces", seconds=2)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(proxied, "get", "namespaces")
        time.sleep(0.5)
        assert not waiting.done()
        fault_proxy.mend()
        assert "kube-system" in waiting.result()


@pytest.mark.thorough
def test_a_share_of_the_calls_fails(proxied: Kubectl, fault_proxy: FaultProxy) -> None:
    fault_proxy.faults.answer(500, share=0.3, where=about("/namespaces"))
    outcomes = [proxied.run("get", "namespace", "default").returncode for _ in range(20)]
    assert 0 < sum(map(bool, outcomes)) < 20
    failed = [call for call in fault_proxy.faults.calls if call.fault]
    assert len(failed) == sum(map(bool, outcomes))
