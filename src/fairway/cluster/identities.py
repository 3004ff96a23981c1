"""The identity that a cloud gives to a pod by its service account, so that no key is kept anywhere.

Each cloud reads an annotation of its own. Pure functions.
"""

import re

from fairway.spec.errors import UsageError

IDENTITIES = {
    "s3": (
        "eks.amazonaws.com/role-arn",
        re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}"),
        "the ARN of a role: `arn:aws:iam::123456789012:role/fairway`",
    ),
    "gs": (
        "iam.gke.io/gcp-service-account",
        re.compile(r"[a-z0-9-]{1,63}@[a-z0-9.:-]{1,200}\.iam\.gserviceaccount\.com"),
        "the address of a service account: `fairway@PROJECT.iam.gserviceaccount.com`",
    ),
    "az": (
        "azure.workload.identity/client-id",
        re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        "the client ID of a managed identity: `00000000-0000-0000-0000-000000000000`",
    ),
}
"""For each kind of store: the annotation, the form of its value, and that form for people."""


def check(kind: str, identity: str) -> None:
    """Refuse an identity that the cloud of a store cannot know. Raises UsageError."""
    _, form, words = IDENTITIES[kind]
    if identity and not form.fullmatch(identity):
        raise UsageError(
            f"{identity[:80]!r} is no identity for a store of the kind {kind}", hint=f"write {words}"
        )


def annotations(kind: str, identity: str) -> dict[str, str]:
    """Return the annotations of a service account with an identity; none without one."""
    return {IDENTITIES[kind][0]: identity} if identity else {}


def labels(kind: str, identity: str) -> dict[str, str]:
    """Return the labels of a pod with an identity. Azure adds it to pods with a label alone."""
    return {"azure.workload.identity/use": "true"} if identity and kind == "az" else {}
