"""The way to a cluster, from the environment and the user's kubeconfig."""

import os
from pathlib import Path

from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.config import load


def open_cluster(context: str = "", namespace: str = "", kubeconfig: str = "") -> Kubernetes:
    """Return the API of a cluster, as kubectl would reach it. Raises ClusterConfigError."""
    return Kubernetes(access_to(context, namespace, kubeconfig))


def access_to(context: str = "", namespace: str = "", kubeconfig: str = "") -> Access:
    """Return what is needed to connect to a cluster, as kubectl would. Raises ClusterConfigError.

    Args:
        context: the context of the kubeconfig. Empty for its current one.
        namespace: the namespace. Empty for the context's.
        kubeconfig: the kubeconfig, or several as in KUBECONFIG. Empty for those that kubectl uses.
    """
    environment = dict(os.environ)
    if kubeconfig:
        environment["KUBECONFIG"] = kubeconfig
    return load(context=context, namespace=namespace, environment=environment, home=Path.home())
