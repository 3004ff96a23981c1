"""Names of the objects of endpoints. They follow from the endpoint's name and the number of the revision.

An endpoint may have a name that no object can have: with capitals, `_` or `.`, or too long. Its objects then have a name like
it, with a hash that no other endpoint has.
"""

import hashlib
import re

from fairway.cluster.pods import INSTALL_LABEL
from fairway.spec.install import Install

ENDPOINT_LABEL = "fairway.dev/endpoint"
"""Label of every object of an endpoint. Its value is the name of the Service."""

REVISION_LABEL = "fairway.dev/revision"
ENDPOINT_NAME = "fairway.dev/endpoint-name"
"""Annotation with the name of the endpoint as people know it."""

REQUEST_URL = "fairway.dev/url"
"""Annotation of a Deployment with the URL that takes requests while its revision serves."""

SAMPLES = "fairway.dev/samples"
"""Annotation of a Deployment with the number of samples that its servers reproduce before they are ready."""

_MOST = 40
_PLAIN = re.compile(rf"[a-z](?:[-a-z0-9]{{0,{_MOST - 2}}}[a-z0-9])?")
_HASH = 8


def service(endpoint: str) -> str:
    """Return the name of an endpoint's Service."""
    if _PLAIN.fullmatch(endpoint):
        return endpoint
    like = re.sub(r"[^a-z0-9]+", "-", endpoint.lower()).strip("-")
    like = like if like[:1].isalpha() else f"e-{like}".rstrip("-")
    digest = hashlib.sha256(endpoint.encode()).hexdigest()[:_HASH]
    return f"{like[: _MOST - _HASH - 1].rstrip('-')}-{digest}"


def revision(endpoint: str, number: int) -> str:
    """Return the name of the objects of a revision, which has at most 52 letters."""
    return f"fw-{service(endpoint)}-r{number}"


def shared(endpoint: str) -> str:
    """Return the name of the objects beside the Service that all revisions share."""
    return f"fw-{service(endpoint)}"


def host(endpoint: str, install: Install) -> str:
    """Return the name by which an endpoint is reached in the cluster."""
    return f"{service(endpoint)}.{install.namespace}.svc"


def address(endpoint: str, install: Install) -> str:
    """Return the base URL of an endpoint in the cluster."""
    return f"http://{host(endpoint, install)}"


def hosts(endpoint: str, install: Install) -> tuple[str, ...]:
    """Return the names by which a pod in the cluster may call an endpoint, without the domain of the cluster."""
    name = service(endpoint)
    return (name, f"{name}.{install.namespace}", host(endpoint, install))


def selector(endpoint: str, install: Install) -> dict[str, str]:
    """Return the labels that find the pods of all revisions of an endpoint."""
    return {INSTALL_LABEL: install.short, ENDPOINT_LABEL: service(endpoint)}


def revision_selector(endpoint: str, number: int, install: Install) -> dict[str, str]:
    """Return the labels that find the pods of one revision."""
    return {**selector(endpoint, install), REVISION_LABEL: str(number)}


def selects(selected: dict[str, str]) -> int:
    """Return the number of the revision that the selector of a Service finds. 0 if it finds none."""
    number = selected.get(REVISION_LABEL, "")
    return int(number) if number.isdecimal() else 0
