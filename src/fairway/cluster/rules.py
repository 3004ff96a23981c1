"""The rights of the control plane in its namespace."""

from fairway.cluster.kinds import Rule
from fairway.spec.install import CONFIG_MAP

_MADE = ("create", "delete", "patch")
RULES = (
    Rule(api_groups=("batch",), resources=("jobs",), verbs=("create", "delete", "get", "list")),
    Rule(api_groups=("",), resources=("pods",), verbs=("list", "watch")),
    Rule(api_groups=("",), resources=("pods/log",), verbs=("get",)),
    Rule(api_groups=("",), resources=("events",), verbs=("list",)),
    Rule(api_groups=("",), resources=("configmaps",), resource_names=(CONFIG_MAP,), verbs=("get",)),
    # The rest is for endpoints. A Service is read before its name is refused because it is not theirs.
    Rule(api_groups=("",), resources=("configmaps",), verbs=_MADE),
    Rule(api_groups=("",), resources=("services",), verbs=(*_MADE, "get", "list", "watch")),
    Rule(api_groups=("apps",), resources=("deployments",), verbs=(*_MADE, "list", "watch")),
    Rule(api_groups=("autoscaling",), resources=("horizontalpodautoscalers",), verbs=_MADE),
    Rule(api_groups=("policy",), resources=("poddisruptionbudgets",), verbs=_MADE),
    Rule(api_groups=("networking.k8s.io",), resources=("networkpolicies",), verbs=("create", "patch")),
    Rule(api_groups=("discovery.k8s.io",), resources=("endpointslices",), verbs=("list",)),
)
"""The rights of the control plane: exactly the verbs that it uses. A test compares them with its code."""
