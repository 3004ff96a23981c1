"""The settings of an installation that the chart has values for, each with its place and the expression that fills it in."""

from dataclasses import dataclass
from typing import Any

import msgspec

from fairway.cluster import placing
from fairway.cluster.manifests import Settings
from fairway.spec.install import PLATFORMS, Install

_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"


@dataclass(frozen=True, kw_only=True)
class Field:
    """A setting, and its place in the chart.

    Attributes:
        path: the place in the settings, such as `install.driver.cpu`.
        example: a value that stands nowhere else in the manifests.
        value: the place in the values, such as `driver.cpu`. Empty where the release decides.
        expression: the expression of Helm with the value. The default takes it from the values.
        absent: a value without which lines of the objects are not there.
        default: the default in the values, where it is not that of the setting.
        rules: what the schema demands beyond the type.
        words: the comment in the values, where it is not the words of the setting.
    """

    path: str
    example: Any
    value: str = ""
    expression: str = ""
    absent: Any = None
    default: Any = None
    rules: dict[str, Any] | None = None
    words: str = ""

    @property
    def told(self) -> str:
        """The expression of Helm with the value."""
        return self.expression or f".Values.{self.value}"

    @property
    def text(self) -> str:
        """The expression of Helm with the value as JSON, which is YAML too."""
        raw = isinstance(self.example, float) or self.path in ("size", "install.cache")
        return f"{{{{ {self.told}{'' if raw else ' | toRawJson'} }}}}"


FIELDS = (
    Field(
        path="install.image",
        example="chart.invalid/fairway@sha256:" + "c4a7" * 16,
        value="image",
        expression='include "fairway.image" .',
        default="",
        rules={"pattern": r"^([^\s@]+@sha256:[0-9a-f]{64})?$"},
        words="the image of the control plane and of runs without an environment of their own, by digest: "
        "`fairway image push REGISTRY` prints it. It must be set.",
    ),
    Field(
        path="install.pull_secrets",
        example=("chart-pull-secret",),
        value="pullSecrets",
        absent=(),
        rules={"items": {"type": "string", "pattern": _NAME}},
    ),
    Field(path="install.registry", example="chart-registry", value="registry"),
    Field(
        path="install.pods.most",
        example=7713,
        value="stepPods.most",
        rules={"minimum": 1},
    ),
    Field(
        path="install.pods.kept",
        example=77.25,
        value="stepPods.kept",
        expression='include "fairway.decimal" .Values.stepPods.kept',
        rules={"type": ["number", "string"], "minimum": 0, "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    ),
    Field(
        path="install.driver.cpu",
        example=61.25,
        value="driver.cpu",
        expression='include "fairway.decimal" .Values.driver.cpu',
        # Helm takes a fraction on its command line for a text.
        rules={"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    ),
    Field(path="install.driver.memory", example="61Gi", value="driver.memory"),
    Field(
        path="install.user",
        example=64123,
        value="user",
        absent=0,
        rules={"minimum": 0},
        words="the number of the user of all pods. 0 leaves the choice to the cluster, which OpenShift wants.",
    ),
    Field(
        path="install.pod_labels",
        example={"chart-label": "chart-label-value"},
        value="podLabels",
        absent={},
    ),
    Field(
        path="install.trust",
        example="chart-trust",
        value="trust",
        absent="",
        rules={"pattern": f"^$|{_NAME}"},
    ),
    Field(
        path="size",
        example=7919 * 2**20,
        value="size",
        expression='include "fairway.size" .',
        default="10Gi",
        # Helm takes a number on its command line for one.
        rules={"type": ["string", "integer"], "minimum": 1, "pattern": r"^[1-9][0-9]{0,15}(Ki|Mi|Gi|Ti)?$"},
        words="the size of the store's volume. It can grow and cannot shrink.",
    ),
    Field(
        path="storage_class",
        example="chart-storage-class",
        value="storageClass",
        absent="",
        rules={"pattern": f"^$|{_NAME}"},
    ),
    Field(
        path="access",
        example="ReadWriteOncePod",
        value="access",
        rules={"enum": ["ReadWriteOncePod", "ReadWriteOnce"]},
        words="`ReadWriteOncePod`, or `ReadWriteOnce` where the cluster or its driver of volumes does not know that.",
    ),
    Field(path="ephemeral", example=False, value="ephemeral", absent=True),
    Field(
        path="install.store",
        example="s3://chart-bucket/prefix",
        value="store",
        rules={"pattern": r"^((s3|gs|az)://\S+)?$"},
    ),
    Field(
        path="store_identity",
        example="arn:aws:iam::123456789012:role/chart",
        value="storeIdentity",
        absent="",
    ),
    Field(
        path="store_secret",
        example="chart-secret",
        value="storeSecret",
        absent="",
        rules={"pattern": f"^$|{_NAME}"},
    ),
    Field(
        path="install.restore",
        example="chart-copy",
        value="restoreFrom",
        words="the copy of a log in `store` with which an empty volume begins, or `newest`. Empty begins anew.",
    ),
    Field(
        path="install.cloud",
        example="chart-cloud",
        value="cloud",
        expression='include "fairway.cloud" .',
        rules={"enum": ["", *placing.CLOUDS]},
        words='the cloud whose labels nodes have: "eks", "gke", "aks" or "plain". Empty for the one that the version of the '
        "cluster names.",
    ),
    Field(
        path="install.platform",
        example="linux/chart-processors",
        value="platform",
        absent="",
        rules={"enum": ["", *PLATFORMS]},
    ),
    Field(path="install.cache", example=7817 * 2**20, expression='include "fairway.cache" .'),
    Field(
        path="install.uid",
        example="5e4711ed" * 4,
        value="uid",
        expression='include "fairway.uid" .',
        default="",
        rules={"pattern": "^([0-9a-f]{32})?$"},
        words="the identity, 32 hexadecimal digits. Empty for that of the volume that is there, or one made of the namespace.",
    ),
    Field(path="install.namespace", example="chart-namespace", expression=".Release.Namespace"),
    Field(path="install.version", example="0.0.0+chart", expression=".Chart.AppVersion"),
)
"""Every setting that is in the chart. A test finds settings that are in neither table."""

CLOUD_STORES = {
    "gs": {
        "install.store": "gs://chart-bucket/prefix",
        "store_identity": "chart@acme.iam.gserviceaccount.com",
    },
    "az": {
        "install.store": "az://chart-bucket/prefix",
        "store_identity": "12345678-1234-1234-1234-123456789012",
    },
}
"""Examples of the other kinds of object storage, each of which has annotations and labels of its own."""

LEFT_OUT = {
    "install.owner": "the cluster gives it to the ConfigMap, and the control plane asks for it",
    "source.registry": "only `fairway upgrade` pushes images",
    "source.base": "only `fairway upgrade` pushes images",
    "source.python": "only `fairway upgrade` pushes images",
    "source.insecure": "only `fairway upgrade` pushes images",
}
"""Settings that the chart leaves at their default, each with the reason."""


def paths(value: object, before: str = "") -> list[str]:
    """Return the paths of all settings, such as `install.driver.cpu`."""
    if not isinstance(value, msgspec.Struct):
        return [before]
    within = f"{before}." if before else ""
    return [
        path for name in value.__struct_fields__ for path in paths(getattr(value, name), f"{within}{name}")
    ]


def changed(settings: Any, path: str, value: object) -> Any:
    """Return settings with another value at a path."""
    name, _, rest = path.partition(".")
    return msgspec.structs.replace(
        settings, **{name: changed(getattr(settings, name), rest, value) if rest else value}
    )


def example_of(path: str) -> Any:
    """Return the example of a setting."""
    return next(one.example for one in FIELDS if one.path == path)


def examples() -> Settings:
    """Return settings in which every value of the chart stands out."""
    settings = Settings(install=Install(uid="", namespace="", version="", image=""))
    for field in FIELDS:
        settings = changed(settings, field.path, field.example)
    unknown = [
        path for path in paths(settings) if path not in LEFT_OUT and path not in {one.path for one in FIELDS}
    ]
    if unknown:
        raise SystemExit(f"charts/generate.py: {', '.join(unknown)} is in neither FIELDS nor LEFT_OUT")
    return settings
