"""The API server's audit log: who asked for what, and whether it was allowed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .places import logs


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call of the API server as its audit log has it. Bodies are not in it."""

    user: str
    verb: str
    group: str
    resource: str
    """Plural name, with the subresource behind a slash."""

    namespace: str
    name: str
    status: int
    allowed: bool
    address: str
    """Path and query."""


def path() -> Path:
    """Return the file of the audit log."""
    return logs() / "audit.log"


def calls(since: int = 0, namespace: str = "") -> Iterator[Asked]:
    """Yield the calls behind an offset of the log, of one namespace if it is given."""
    with path().open("rb") as log:
        log.seek(since)
        for line in log:
            # The last line may be on its way.
            if line.endswith(b"\n"):
                call = parsed(json.loads(line))
                if namespace in ("", call.namespace):
                    yield call


def parsed(record: dict[str, Any]) -> Asked:
    """Return the call of a record. An impersonated user counts as the one who asks."""
    about = record.get("objectRef", {})
    user = record.get("impersonatedUser") or record["user"]
    below = about.get("subresource", "")
    decision = record.get("annotations", {}).get("authorization.k8s.io/decision", "")
    return Asked(
        user=user.get("username", ""),
        verb=record["verb"],
        group=about.get("apiGroup", ""),
        resource=about.get("resource", "") + (f"/{below}" if below else ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        status=record.get("responseStatus", {}).get("code", 0),
        allowed=decision == "allow",
        address=record["requestURI"],
    )
