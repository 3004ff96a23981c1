"""The control plane: certificates, etcd, API server, controllers, scheduler and the registry."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .api import Api
from .building import programs
from .places import KUBECONFIG, Addresses, data, logs
from .processes import inside, run, start, stop, wait
from .programs import KUBERNETES

MANIFESTS = Path(__file__).parent / "manifests"
OPERATOR = "fairway-lab"
"""Name under which the lab itself asks the API server. The audit log leaves it out."""

ADMINISTRATOR = "fairway-lab-admin"


def keys() -> Path:
    """Return the folder of certificates and keys."""
    return data() / "pki"


def config(name: str) -> Path:
    """Return the kubeconfig of a program of the lab."""
    return data() / "config" / f"{name}.conf"


def etcd_data() -> Path:
    """Return the folder of etcd's data."""
    return data() / "etcd"


def kubeadm_config(addresses: Addresses) -> str:
    """Return the configuration from which `kubeadm` makes certificates. It reads JSON as YAML."""
    version = "kubeadm.k8s.io/v1beta4"
    init = {
        "apiVersion": version,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": addresses.control_plane, "bindPort": 6443},
        "nodeRegistration": {"name": "n1", "criSocket": "unix:///run/containerd/containerd.sock"},
    }
    cluster = {
        "apiVersion": version,
        "kind": "ClusterConfiguration",
        "kubernetesVersion": f"v{KUBERNETES}",
        "certificatesDir": str(keys()),
        "controlPlaneEndpoint": f"{addresses.control_plane}:6443",
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "serviceSubnet": str(addresses.services),
            "podSubnet": str(addresses.pods),
            "dnsDomain": "cluster.local",
        },
        # The fault proxy shows the API server's certificate at the addresses of the machine.
        "apiServer": {"certSANs": ["127.0.0.1", "localhost", addresses.control_plane, addresses.machine]},
    }
    return f"{json.dumps(init)}\n---\n{json.dumps(cluster)}\n"


def make_certificates(addresses: Addresses, nodes: int) -> None:
    """Make the authority, the certificates and a kubeconfig for everybody who asks the API server."""
    config("x").parent.mkdir(parents=True, exist_ok=True)
    settings = data() / "kubeadm.yaml"
    settings.write_text(kubeadm_config(addresses), "utf-8")
    kubeadm = [*inside("cp"), "kubeadm"]
    common = ["--config", str(settings)]
    run([*kubeadm, "init", "phase", "certs", "all", *common])
    people = [
        ("kube-proxy", "system:kube-proxy", ""),
        ("operator", OPERATOR, "system:masters"),
        ("admin", ADMINISTRATOR, "system:masters"),
    ]
    with ThreadPoolExecutor() as pool:
        folder = ["--kubeconfig-dir", str(config("x").parent)]
        waiting = [pool.submit(run, [*kubeadm, "init", "phase", "kubeconfig", "all", *common, *folder])]
        waiting += [pool.submit(make_user, *person) for person in people]
        waiting += [pool.submit(make_node_user, number) for number in range(1, nodes + 1)]
        for one in waiting:
            one.result()


def make_user(name: str, user: str, group: str) -> None:
    """Write the kubeconfig of a user with a client certificate of the lab's authority."""
    command = [*inside("cp"), "kubeadm", "kubeconfig", "user", "--config", data() / "kubeadm.yaml"]
    made = run([*command, "--client-name", user, *(["--org", group] if group else [])])
    config(name).touch(mode=0o600)
    config(name).write_text(made.stdout, "utf-8")


def make_node_user(number: int) -> None:
    """Write the kubeconfig of a node's kubelet."""
    if not config(f"kubelet-n{number}").exists():
        make_user(f"kubelet-n{number}", f"system:node:n{number}", "system:nodes")


def start_etcd() -> None:
    """Start etcd. It does not wait for the disk: the lab's data goes with the lab."""
    etcd_data().mkdir(parents=True, exist_ok=True, mode=0o700)
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    command = [programs() / "etcd", "--name=cp", f"--data-dir={etcd_data()}", "--unsafe-no-fsync"]
    command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
    command += [f"--initial-cluster=cp={peer}", "--log-level=warn"]
    start("etcd", "cp", command)


def api_server_flags(addresses: Addresses) -> list[str]:
    """Return the flags of the API server."""
    pki = keys()
    address = addresses.control_plane
    flags = {
        "advertise-address": address,
        "bind-address": address,
        "secure-port": "6443",
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        # No kube-proxy runs beside the API server, so it cannot reach the cluster address of a Service.
        "enable-aggregator-routing": "true",
        "client-ca-file": pki / "ca.crt",
        "etcd-servers": "http://127.0.0.1:2379",
        "kubelet-client-certificate": pki / "apiserver-kubelet-client.crt",
        "kubelet-client-key": pki / "apiserver-kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "sa.pub",
        "service-account-signing-key-file": pki / "sa.key",
        "service-cluster-ip-range": addresses.services,
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "audit-policy-file": MANIFESTS / "audit-policy.yaml",
        "audit-log-path": logs() / "audit.log",
        "audit-log-maxsize": "200",
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def start_api_server(addresses: Addresses) -> None:
    """Start the API server and wait until it is ready."""
    start("kube-apiserver", "cp", [programs() / "kube-apiserver", *api_server_flags(addresses)])
    api = Api(config("operator"))
    wait("ready API server", lambda: api.get("/readyz") == "ok", daemon="kube-apiserver")


def restart_api_server(addresses: Addresses) -> None:
    """Kill the API server and start it again."""
    stop("kube-apiserver")
    start_api_server(addresses)


def start_controllers(addresses: Addresses) -> None:
    """Start the controllers and the scheduler."""
    pki, own = keys(), config("controller-manager")
    flags = {
        "kubeconfig": own,
        "authentication-kubeconfig": own,
        "authorization-kubeconfig": own,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "allocate-node-cidrs": "false",
        "cluster-cidr": addresses.pods,
        "service-cluster-ip-range": addresses.services,
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "root-ca-file": pki / "ca.crt",
        "client-ca-file": pki / "ca.crt",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "service-account-private-key-file": pki / "sa.key",
        "use-service-account-credentials": "true",
        # Autoscaling within a test's patience.
        "horizontal-pod-autoscaler-sync-period": "5s",
        "horizontal-pod-autoscaler-initial-readiness-delay": "5s",
        "horizontal-pod-autoscaler-cpu-initialization-period": "10s",
    }
    words = [f"--{name}={value}" for name, value in flags.items()]
    start("kube-controller-manager", "cp", [programs() / "kube-controller-manager", *words])
    own = config("scheduler")
    access = [
        f"--{flag}={own}" for flag in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    ]
    more = ["--bind-address=127.0.0.1", "--leader-elect=false"]
    start("kube-scheduler", "cp", [programs() / "kube-scheduler", *access, *more])


def start_registry(addresses: Addresses) -> None:
    """Start the registry, which speaks plain HTTP, and wait until it answers."""
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(data() / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": addresses.registry, "secret": "one process, so any will do"},
    }
    file = data() / "registry.yml"
    file.write_text(json.dumps(settings), "utf-8")
    start("registry", "cp", ["docker-registry", "serve", file])


def apply(files: list[Path], addresses: Addresses) -> None:
    """Apply manifests, with the addresses of this lab in place of their names."""
    text = "\n---\n".join(file.read_text("utf-8") for file in files).replace("CLUSTER_DNS", addresses.dns)
    command = [
        programs() / "kubectl",
        "--kubeconfig",
        config("operator"),
        "apply",
        "--server-side",
        "-f",
        "-",
    ]
    run(command, input=text)


def publish_kubeconfig() -> None:
    """Write the administrator's kubeconfig to where users find it."""
    KUBECONFIG.touch(mode=0o600)
    KUBECONFIG.write_text(config("admin").read_text("utf-8"), "utf-8")
