"""The ways to harm the lab that tests of faults use, each with its repair."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import control_plane, network, processes
from lab.api import Api
from lab.lab import Lab
from lab.places import KUBECONFIG


def answers(lab: Lab) -> bool:
    """Tell whether the API server answers."""
    return Api(KUBECONFIG).get("/readyz") == "ok"


@pytest.mark.thorough
def test_a_cut_link_silences_the_control_plane_until_it_is_mended(lab: Lab) -> None:
    assert answers(lab)
    network.cut("cp")
    try:
        assert Api(KUBECONFIG).call("GET", "/readyz") == (0, None)
    finally:
        network.mend("cp")
    processes.wait("answer of the API server", lambda: answers(lab))


@pytest.mark.thorough
def test_a_paused_api_server_answers_when_it_is_resumed(lab: Lab) -> None:
    processes.pause("kube-apiserver")
    try:
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(answers, lab)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            processes.resume("kube-apiserver")
            assert waiting.result()
    finally:
        processes.resume("kube-apiserver")


@pytest.mark.thorough
def test_an_api_server_that_was_killed_comes_back_with_all_it_knew(lab: Lab) -> None:
    before = Api(KUBECONFIG).get("/api/v1/namespaces/default")["metadata"]["uid"]
    control_plane.restart_api_server(lab.addresses)
    assert Api(KUBECONFIG).get("/api/v1/namespaces/default")["metadata"]["uid"] == before


@pytest.mark.thorough
def test_nodes_join_a_lab_that_is_up(three_nodes: Lab) -> None:
    names = {node["metadata"]["name"] for node in Api(KUBECONFIG).get("/api/v1/nodes")["items"]}
    assert names == {"n1", "n2", "n3"}
