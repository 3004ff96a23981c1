"""The installation of Fairway in a namespace: the content of `install.json`, which every process of it reads."""

import msgspec

from fairway.spec import quantities
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import UsageError
from fairway.spec.quantities import Resources

SERVICE = "fairway"
"""Name of the Service, the Deployment and the service account of the control plane."""

HTTP_PORT = 7700
LINK_PORT = 7701

CONFIG_MAP = "fairway-install"
FILE = "install.json"
"""Name of the file in the ConfigMap, which the control plane mounts at `/etc/fairway`."""

STEP_ACCOUNT = "fairway-step"
"""Service account of the pods that run the project's code. It has no rights."""

SERVER_ACCOUNT = "fairway-server"
"""Service account of the model servers. It has no rights. With its token they get content from the control plane."""

ROLE_ACCOUNTS = ("fairway-viewer", "fairway-runner", "fairway-deployer")
"""Service accounts without rights in the cluster. A person who can make a token for one has that role."""


class DriverSize(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the pod that runs the driver and the small steps of a run.

    Attributes:
        cpu: the number of cores.
        memory: the amount, as Kubernetes writes it.
    """

    cpu: float = 1.0
    memory: str = "1Gi"

    @property
    def resources(self) -> Resources:
        """The size as resources."""
        return Resources(cpu=self.cpu, memory=quantities.parse_memory(self.memory))


class StepPods(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds for the pods that the steps of a run share.

    Attributes:
        most: the most pods of a run at a time, beside its driver.
        kept: the seconds for which a pod is kept for further steps of its run. 0 ends it at once.
    """

    most: int = 64
    kept: float = 60.0


PLATFORMS = ("linux/amd64", "linux/arm64")
"""The platforms of nodes, the usual one first."""


class Install(msgspec.Struct, frozen=True, kw_only=True):
    """An installation.

    Attributes:
        uid: the identity, 32 hexadecimal digits. It outlives an upgrade.
        namespace: the namespace.
        version: the version of Fairway that wrote the manifests.
        image: the image of the control plane and of hosts without an environment of their own, by digest.
        driver: the size of a driver's pod.
        pods: the bounds for the pods that the steps of a run share.
        pull_secrets: the names of the Secrets with which the image is pulled.
        registry: the registry for the images of environments, as it was typed. Empty for the one of `image`.
        owner: the uid that Kubernetes gave to the ConfigMap, for owner references. Empty where it is not known.
        user: the number of the user of all pods. 0 leaves the choice to the cluster.
        pod_labels: further labels of all pods, such as the one with which a cloud gives them an identity.
        trust: the name of a ConfigMap whose `ca.crt` has the certificates that pods trust, public ones included. Empty for
            those of the image.
        store: the place of artifacts in object storage, such as `s3://bucket/prefix`. Empty keeps them on the volume.
        cache: the bytes of artifacts in object storage that the volume may hold as well.
        cloud: the cloud whose labels nodes have: "eks", "gke", "aks" or "plain". Empty where it is not known.
        restore: the copy of a log from which an empty volume begins, or `newest`. Empty begins anew.
        platform: the platform of the images, such as `linux/arm64`, whose nodes pods get. Empty if `image` is for all nodes.
    """

    uid: str
    namespace: str
    version: str
    image: str
    driver: DriverSize = DriverSize()
    pods: StepPods = StepPods()
    pull_secrets: tuple[str, ...] = ()
    registry: str = ""
    owner: str = ""
    user: int = 65532
    pod_labels: dict[str, str] = {}
    trust: str = ""
    store: str = ""
    cache: int = 5 * 2**30
    cloud: str = ""
    restore: str = ""
    platform: str = ""

    @property
    def architecture(self) -> str:
        """The processors of the nodes that pods get, such as `arm64`. Empty for all nodes."""
        return self.platform.removeprefix("linux/")

    @property
    def short(self) -> str:
        """The first eight digits of the uid, which is the value of the label `fairway.dev/install`."""
        return self.uid[:8]

    def encode(self) -> str:
        """Return the text of `install.json`."""
        return msgspec.json.encode(self).decode()


def decode(text: str | bytes) -> Install:
    """Return the installation that `install.json` describes. Fields of later versions are ignored.

    Raises:
        UsageError: the text is something else.
    """
    try:
        return msgspec.json.decode(text, type=Install)
    except UNREADABLE as error:
        raise UsageError(
            f"{FILE} of the ConfigMap {CONFIG_MAP} does not describe an installation: {error}",
            hint="`fairway upgrade` writes it again",
        ) from None
