"""The parts that the chart adds to the objects of the manifests: labels of Helm, and values that only Kubernetes reads.

All of them are left out where the value is empty, so that the objects are then those of the manifests.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Extra:
    """A value that no setting of Fairway stands for."""

    name: str
    default: Any
    words: str
    schema: dict[str, Any]


_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}

EXTRAS = (
    Extra(
        name="keepStore",
        default=True,
        words="True leaves the volume with runs, models and artifacts when the release is uninstalled.",
        schema={"type": "boolean"},
    ),
    Extra(
        name="accountAnnotations",
        default={},
        words="annotations of the service accounts, by the account's name. A cloud gives its identity so: `fairway` is the "
        "control plane, and `fairway-step` is what the pods of runs work as.",
        schema={"type": "object", "additionalProperties": _TEXTS},
    ),
    Extra(
        name="nodeSelector",
        default={},
        words="the labels of nodes that the control plane may run on.",
        schema=_TEXTS,
    ),
    Extra(
        name="affinity",
        default={},
        words="the affinity of the control plane's pod.",
        schema={"type": "object"},
    ),
    Extra(
        name="tolerations",
        default=[],
        words="further taints that the control plane's pod accepts.",
        schema={"type": "array", "items": {"type": "object"}},
    ),
    Extra(
        name="priorityClassName",
        default="",
        words="the priority class of the control plane's pod.",
        schema={"type": "string"},
    ),
)


def insert(name: str, lines: list[str]) -> list[str]:
    """Return the lines of a template with the parts that the chart adds."""
    after = _AFTER | _FURTHER.get(name, {})
    found: list[str] = []
    account = ""
    for line in lines:
        if line.startswith("  name: "):
            account = line.removeprefix("  name: ")
        if line == '    "app.kubernetes.io/managed-by": "fairway"':
            line = '    "app.kubernetes.io/managed-by": {{ .Release.Service | toRawJson }}'
        found.append(line)
        found += [one.replace("ACCOUNT", account) for one in after.get(line, [])]
    return found


_AFTER = {
    '    "app.kubernetes.io/managed-by": {{ .Release.Service | toRawJson }}': [
        '    "helm.sh/chart": {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | toRawJson }}'
    ]
}
"""Lines that follow another one in every template."""

_FURTHER = {
    "persistentvolumeclaim": {
        "  annotations:": [
            "{{- if .Values.keepStore }}",
            '    "helm.sh/resource-policy": "keep"',
            "{{- end }}",
        ]
    },
    "serviceaccount": {
        "  annotations:": [
            "{{- with index .Values.accountAnnotations ACCOUNT }}",
            "{{- toYaml . | nindent 4 }}",
            "{{- end }}",
        ]
    },
    "deployment": {
        "    spec:": [
            "{{- with .Values.nodeSelector }}",
            "      nodeSelector:",
            "{{- toYaml . | nindent 8 }}",
            "{{- end }}",
            "{{- with .Values.affinity }}",
            "      affinity:",
            "{{- toYaml . | nindent 8 }}",
            "{{- end }}",
            "{{- with .Values.priorityClassName }}",
            "      priorityClassName: {{ . | toRawJson }}",
            "{{- end }}",
        ],
        "      tolerations:": [
            "{{- with .Values.tolerations }}",
            "{{- toYaml . | nindent 8 }}",
            "{{- end }}",
        ],
    },
}
"""Lines that follow another one in one template."""
