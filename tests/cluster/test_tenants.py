"""Two installations on one cluster: neither answers the people or pods of the other, and a run has its own part alone."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from installation import Installation, install, wait

from fairway.control.api import Api
from fairway.control.identity import PODS, SERVERS
from fairway.control.store_routes import StoreRoutes
from fairway.spec import link
from fairway.spec.install import LINK_PORT
from fairway.spec.link import Facts, Hello, Refused
from fairway.spec.wire import Splitter
from lab.kubectl import Kubectl

PROJECT = """
import os, time
import fairway as fw


@fw.task(cpu=0.1)
def hold() -> int:
    print("holding", flush=True)
    time.sleep(600)
    return 1


@fw.pipeline
def main() -> int:
    return hold()
"""
POLICIES = {
    (entry.method, entry.path): entry.policy
    for entry in (*Api(None).entries(), *StoreRoutes(None, None).entries())  # type: ignore[arg-type]
}
PROTECTED = sorted(route for route, policy in POLICIES.items() if policy != "public")


class Tenant:
    """An installation with two runs at work and content of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        bundle = installation.send(PROJECT)
        self.runs = [installation.submit(bundle) for _ in range(2)]
        for run in self.runs:
            installation.until_output(run, "holding")
        content = os.urandom(64)
        self.digest = hashlib.sha256(content).hexdigest()
        installation.insist("PUT", f"/api/v1/store/blobs/{self.digest}", content)
        self.pods = [self._pod(run) for run in self.runs]
        self.credentials = [self._file(pod, "/fairway/credential") for pod in self.pods]
        self.tokens = [self._file(pod, "/var/run/fairway/token") for pod in self.pods]

    def path(self, route: tuple[str, str], run: str = "") -> str:
        """Return the path of a route for a run, the first one if none is named, and for content that is there."""
        run = run or self.runs[0]
        filled = route[1].replace("{name}", run).replace("{digest}", self.digest).replace("{run}", run)
        return filled.replace("{step}", "hold").replace("{attempt}", "1")

    def host(self, number: int) -> str:
        """Return the name of the driver of a run."""
        return self.pods[number].rpartition("-")[0]

    def _pod(self, run: str) -> str:
        found = [
            pod["metadata"]["name"]
            for pod in self.installation.pods()
            if pod["metadata"]["annotations"]["fairway.dev/run-name"] == run
        ]
        (name,) = found
        return name

    def _file(self, pod: str, path: str) -> str:
        return self.installation.kubectl("exec", pod, "--", "cat", path).strip()


@pytest.fixture(scope="module")
def tenants(
    kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]
) -> Iterator[tuple[Tenant, Tenant]]:
    """Two installations in namespaces of their own."""
    made = [install(kubectl, registry, make_namespace()) for _ in range(2)]
    one, other = map(Tenant, made)
    yield one, other
    for tenant in (one, other):
        for run in tenant.runs:
            # One of them is over already.
            tenant.installation.ask("POST", f"/api/v1/runs/{run}/cancel")
    for installation in made:
        installation.nothing_is_left()


def refusals(tenant: Tenant, routes: list[tuple[str, str]], run: str = "", **headers: str) -> dict[Any, int]:
    """Return the routes that did not refuse a credential, and how many there are of each status."""
    let_in = {}
    for route in routes:
        status, said = tenant.installation.ask(route[0], tenant.path(route, run), b"{}", **headers)
        if status not in (401, 403):
            let_in[route] = (status, said)
    return let_in


def test_every_route_refuses_the_people_of_another_namespace(tenants: tuple[Tenant, Tenant]) -> None:
    one, other = tenants
    for role, token in other.installation.tokens.items():
        assert refusals(one, PROTECTED, x_fairway_token=token) == {}, role


def test_every_route_refuses_tokens_of_no_role_and_tokens_that_are_void(
    tenants: tuple[Tenant, Tenant], kubectl: Kubectl
) -> None:
    one, _ = tenants
    inside = one.installation.kubectl
    inside("create", "configmap", "short-lived")
    inside("create", "secret", "generic", "short-lived")
    # A token ends early with the object that it is bound to. The API server judges it as one whose time is over.
    bound = one.installation.token(
        "deployer", "--bound-object-kind=Secret", "--bound-object-name=short-lived"
    )
    inside("delete", "secret", "short-lived")
    head, body, signature = one.installation.tokens["deployer"].split(".")
    tokens = {
        "an account without a role": inside("create", "token", "default").strip(),
        "another audience": one.installation.token("deployer", "--audience=elsewhere"),
        "void": bound,
        "signed by nobody": f"{head}.{body}.{signature[::-1]}",
        "no token": "x",
    }
    for whose, token in tokens.items():
        assert refusals(one, PROTECTED, x_fairway_token=token) == {}, whose
    assert refusals(one, PROTECTED, anonymous="1") == {}, "nobody"


def test_the_token_of_a_pod_reads_content_by_its_digest_and_opens_nothing_else(
    tenants: tuple[Tenant, Tenant],
) -> None:
    # A pod fetches the packages of its run before it has the credential of the run.
    one, other = tenants
    assert set(refusals(one, PROTECTED, x_fairway_token=one.tokens[0])) <= SERVERS
    assert refusals(other, PROTECTED, x_fairway_token=one.tokens[0]) == {}


def test_a_viewer_changes_nothing_and_a_runner_deploys_nothing(tenants: tuple[Tenant, Tenant]) -> None:
    one, _ = tenants
    for word in ("viewer", "runner"):
        higher = [route for route in PROTECTED if POLICIES[route] not in ("viewer", word)]
        assert higher
        assert refusals(one, higher, x_fairway_token=one.installation.tokens[word]) == {}, word


def test_a_credential_of_a_run_opens_the_store_for_that_run_alone(tenants: tuple[Tenant, Tenant]) -> None:
    one, other = tenants
    own, foreign = one.credentials[0], other.credentials[0]
    assert refusals(one, [route for route in PROTECTED if route not in PODS], x_fairway_run=own) == {}
    records = [route for route in PODS if "{run}" in route[1]]
    assert len(records) == 2
    assert refusals(one, records, run=one.runs[1], x_fairway_run=own) == {}, "another run's record"
    assert refusals(one, PROTECTED, x_fairway_run=foreign) == {}, "a run of another installation"
    read = one.installation.ask(
        *("GET", one.path(("GET", "/api/v1/store/blobs/{digest}"))), x_fairway_run=own
    )
    assert read[0] == 200


def test_a_token_and_a_credential_together_open_nothing(tenants: tuple[Tenant, Tenant]) -> None:
    one, _ = tenants
    for route in PROTECTED:
        status, _ = one.installation.ask(
            route[0],
            one.path(route),
            b"{}",
            x_fairway_token=one.installation.tokens["deployer"],
            x_fairway_run=one.credentials[0],
        )
        assert status == 400, route


async def hello(address: str, host: str, token: str) -> Any:
    """Say hello as a pod does, and return the answer."""
    reader, writer = await asyncio.open_connection(address, LINK_PORT)
    splitter = Splitter(link.MAX_LINK_FRAME)
    try:
        said = Hello(host=host, token=token, session="", credential="", received=0, facts=Facts())
        writer.write(link.frame(said))
        async with asyncio.timeout(60):
            while data := await reader.read(65536):
                for content in splitter.feed(data):
                    return link.decode(content)
    finally:
        writer.close()
    return None


def test_a_pod_gets_the_orders_of_no_other_host(tenants: tuple[Tenant, Tenant]) -> None:
    one, other = tenants
    service = one.installation.kubectl.json("get", "service", "fairway")["spec"]["clusterIP"]
    wrong = {
        "a pod of another run": one.tokens[1],
        "a pod of another installation": other.tokens[0],
        "a person": one.installation.tokens["deployer"],
        "nobody": "x",
    }
    for whose, token in wrong.items():
        answer = asyncio.run(hello(service, one.host(0), token))
        assert isinstance(answer, Refused), (whose, answer)
    assert one.installation.run(one.runs[0])["phase"] == "Running", "the right pod goes on"


def test_the_credential_of_a_run_ends_with_it(tenants: tuple[Tenant, Tenant]) -> None:
    one, _ = tenants
    run, credential = one.runs[1], one.credentials[1]
    one.installation.insist("POST", f"/api/v1/runs/{run}/cancel")
    one.installation.follow(run)
    wait("end of the credential", lambda: not refusals_missing(one, run, credential), 30)


def refusals_missing(tenant: Tenant, run: str, credential: str) -> dict[Any, int]:
    """Return the routes of pods that still let the credential of a run in."""
    return refusals(tenant, sorted(PODS), run=run, x_fairway_run=credential)
