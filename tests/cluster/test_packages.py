"""The packages of a project where nobody may push an image: they go through the store of the control plane into the pods."""

import base64
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plane_here import push_image
from teams import VISITORS, answer
from test_remote_run import Laptop

from lab.kubectl import Kubectl, make_user

TEXT = """
import fairway as fw
import shop_rates

@fw.task(isolated=True, cpu=0.1)
def rate() -> int:
    print("rate", shop_rates.RATE, shop_rates.__file__, flush=True)
    return shop_rates.RATE

@fw.pipeline
def main() -> int:
    return rate()

@fw.endpoint
def shop(x: float) -> float:
    return x * shop_rates.RATE
"""


class Denying(http.server.BaseHTTPRequestHandler):
    """A registry that allows nothing to anybody."""

    def do_GET(self) -> None:
        """Refuse a request."""
        body = b'{"errors": [{"code": "DENIED", "message": "pushes are not for you"}]}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def denying() -> Iterator[str]:
    """The address of a registry on this machine that takes no push."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, registry: str, denying: str, make_namespace: Callable[..., str]) -> str:
    """A namespace with Fairway, whose registry for environments denies everything."""
    name = make_namespace()
    where = ("--namespace", name, "--image", push_image(registry), "--registry", denying)
    environment = {**os.environ, "KUBECONFIG": kubectl.kubeconfig}
    done = subprocess.run(
        [sys.executable, "-m", "fairway", "install", *where],
        env=environment, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
def laptop(kubectl: Kubectl, installed: str, tmp_path: Path) -> Laptop:
    """The command line of somebody who may edit the namespace, with a project that needs a package."""
    made = Laptop(tmp_path, make_user(kubectl, tmp_path, "edit", installed, f"user-{os.urandom(3).hex()}"))
    made.write("flow.py", TEXT)
    made.write("lock.txt", wheel(tmp_path / "wheels", rate=7))
    made.write("pyproject.toml", '[tool.fairway]\nrequirements = "lock.txt"\n')
    made.environment |= {"UV_FIND_LINKS": str(tmp_path / "wheels"), "UV_NO_INDEX": "1"}
    made.fairway("target", "add", "team")
    made.environment["FAIRWAY_TARGET"] = "team"
    return made


def wheel(folder: Path, rate: int) -> str:
    """Make a wheel, and return the line of a lock for it."""
    listed = f"shop_rates-1.{rate}.dist-info"
    files = {
        "shop_rates.py": f"RATE = {rate}\n",
        f"{listed}/METADATA": f"Metadata-Version: 2.1\nName: shop-rates\nVersion: 1.{rate}\n",
        f"{listed}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }

    def row(path: str) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[path].encode()).digest()).rstrip(b"=").decode()
        return f"{path},sha256={digest},{len(files[path])}"

    files[f"{listed}/RECORD"] = "\n".join([*map(row, files), f"{listed}/RECORD,,", ""])
    folder.mkdir(exist_ok=True)
    path = folder / f"shop_rates-1.{rate}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return f"shop-rates==1.{rate} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_packages_reach_every_pod_of_a_run_without_a_registry(
    laptop: Laptop, kubectl: Kubectl, installed: str
) -> None:
    told = laptop.fairway("run", "flow.py").stderr
    assert "packages go through the store of team: " in told
    assert "rate 7 /opt/fairway/env/python3.11/site-packages/shop_rates.py" in told
    again = laptop.fairway("run", "flow.py", "--detach")
    assert "there already" in again.stderr
    there = kubectl.inside(installed)
    there("wait", "--for=create", "pod", "-l", "app.kubernetes.io/name=fairway-run", "--timeout=60s")
    pods = there.json("get", "pods", "-l", "app.kubernetes.io/name=fairway-run")["items"]
    assert {one["name"] for pod in pods for one in pod["spec"]["initContainers"]} == {"packages"}
    assert laptop.fairway("follow", again.stdout.strip()).returncode == 0


def test_packages_reach_the_servers_of_an_endpoint_without_a_registry(
    laptop: Laptop, kubectl: Kubectl, installed: str
) -> None:
    told = laptop.fairway("deploy", "flow.py", "--replicas", "1").stderr
    assert "packages go through the store of team: " in told
    there = kubectl.inside(installed)
    (pod,) = there.json("get", "pods", "-l", "fairway.dev/endpoint=shop")["items"]
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["packages"]
    there.apply(VISITORS)
    address = there.json("get", "service", "shop")["spec"]["clusterIP"]
    assert answer(address, 2, f"shop.{installed}.svc") == 14
    laptop.fairway("undeploy", "shop")
