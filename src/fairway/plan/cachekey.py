"""The cache key of a step: what it is made of, and why one differs from another."""

import hashlib
from collections.abc import Callable

from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.run import StepSpec

Resolve = Callable[[RefData], Node]


def parts(spec: StepSpec, environment: str, resolve: Resolve) -> dict[str, str]:
    """Everything a step's result depends on, as digests by part. All its inputs must be known."""
    found = {f"code {name}": digest for name, digest in spec.code.items()}
    found |= {f"input {name}": digest_of(node, resolve) for name, node in spec.inputs.items()}
    found["environment"] = environment
    return found


def key(task: str, from_parts: dict[str, str]) -> str:
    """sha256, in hex, over a task's name and its parts."""
    text = "\n".join([task, *(f"{name}\t{digest}" for name, digest in sorted(from_parts.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def explain(before: dict[str, str], now: dict[str, str], label: str = "") -> str:
    """Why a step ran, given what the last one of its task and label was made of: what changed, for people."""
    if not before:
        return f"no earlier result with {label}" if label else "no earlier result"
    changed = [name for name in now if name in before and before[name] != now[name]]
    added = [name for name in now if name not in before]
    removed = [name for name in before if name not in now]
    said = [f"{_readable(name)} changed" for name in changed]
    said += [f"{_readable(name)} is new" for name in added]
    said += [f"{_readable(name)} is gone" for name in removed]
    return (
        ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")
        or "its earlier result is gone"
    )


def digest_of(node: Node, resolve: Resolve) -> str:
    """Digest of a node's content, with every ref followed to what it became."""
    if isinstance(node, RefData):
        return digest_of(resolve(node), resolve)
    if isinstance(node, Artifact):
        return f"{node.format}:{node.digest}" + (f":{node.code}" if node.code else "")
    inner = [digest_of(child, resolve) for child in (*node.keys, *node.items)]
    return hashlib.sha256(f"{node.container}{len(node.keys)}{inner}".encode()).hexdigest()


def resolved(node: Node, resolve: Resolve) -> Node:
    """The node with every ref replaced by what it became."""
    if isinstance(node, RefData):
        return resolve(node)
    if isinstance(node, Group):
        items = tuple(resolved(child, resolve) for child in node.items)
        return Group(
            container=node.container, items=items, keys=tuple(resolved(child, resolve) for child in node.keys)
        )
    return node


def _readable(part: str) -> str:
    return part.replace("code ", "", 1) if part.startswith("code ") else part
