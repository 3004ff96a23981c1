"""The cache key of a step: its parts, and the differences between two keys."""

import hashlib
from collections.abc import Callable, Iterable, Mapping

from fairway.spec.artifact import Artifact, Group, Node, RefData, walk
from fairway.spec.run import StepSpec

Resolve = Callable[[RefData], Node]


RULES = "3"
"""Version of the rules that find the parts of a key. Results of other rules may be stale and are not used."""

_INPUT_CODE = "code of input "
_PACKAGE = "package "
_ENVIRONMENT = "environment"
_OWN_KINDS = ("builtins", "fairway")
_PACKAGE_OF = {"sklearn": "scikit_learn"}
"""The packages whose modules have another name, by module, for the kinds of values that are usual."""


def parts(
    spec: StepSpec, environment: str, resolve: Resolve, code: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return digests of everything that a step's result depends on, by part. All inputs of the step must be known.

    Args:
        code: the digests of the project's code that `referred` names.
    """
    found = {f"code {name}": digest for name, digest in spec.code.items()}
    for name, node in spec.inputs.items():
        found[f"input {name}"] = digest_of(node, resolve)
        if code and (names := _names(node, resolve)):
            found[f"{_INPUT_CODE}{name}"] = _digest(f"{one}\t{code[one]}" for one in names)
    if spec.packages is not None and spec.environment is None and not _strangers(spec, resolve):
        found |= {f"{_PACKAGE}{name}": version for name, version in spec.packages.items()}
    else:
        found[_ENVIRONMENT] = environment
    found["rules"] = RULES
    return found


def referred(spec: StepSpec, resolve: Resolve) -> set[str]:
    """Return names of the project's code that a step's inputs refer to and do not hold. All inputs must be known."""
    return {name for node in spec.inputs.values() for name in _names(node, resolve)}


def unknown(spec: StepSpec, resolve: Resolve, code: Mapping[str, str]) -> str:
    """Explain why a step cannot be cached: code of an input was not found. Return "" when all of it is known."""
    for name, node in spec.inputs.items():
        for one in _names(node, resolve):
            if not code.get(one):
                return f"not cached: the code of input {name}, {one.replace(':', '.')}, cannot be found"
    return ""


def key(task: str, from_parts: dict[str, str]) -> str:
    """Return the sha256, in hex, of a task's name and the parts."""
    return _digest([task, *(f"{name}\t{digest}" for name, digest in sorted(from_parts.items()))])


def explain(before: dict[str, str], now: dict[str, str], label: str = "") -> str:
    """Explain to people why a step ran.

    Args:
        before: the parts of the last step of the same task and label. It is empty if there was none.
        now: the parts of the step.
        label: the label that both steps have.
    """
    if not before:
        return f"no earlier result with {label}" if label else "no earlier result"
    if before.get("rules", RULES) != now.get("rules", RULES):
        return f"{_readable('rules')} changed"
    # The one stands for the others, so a change between them would list every package as gone or new.
    if _ENVIRONMENT in before and _ENVIRONMENT not in now:
        return "the packages that its code can reach are known now"
    if _ENVIRONMENT in now and any(name.startswith(_PACKAGE) for name in before):
        return "it is not known any more which packages its code can reach, so every package counts"
    changed = [name for name in now if name in before and before[name] != now[name]]
    added = [name for name in now if name not in before]
    removed = [name for name in before if name not in now]
    said = [_change(name, before[name], now[name]) for name in changed]
    said += [f"{_readable(name)} is new" for name in added]
    said += [f"{_readable(name)} is gone" for name in removed]
    return (
        ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")
        or "its earlier result is gone"
    )


def digest_of(node: Node, resolve: Resolve) -> str:
    """Return the digest of a node's content. Every ref is replaced by its value."""
    if isinstance(node, RefData):
        return digest_of(resolve(node), resolve)
    if isinstance(node, Artifact):
        return f"{node.format}:{node.digest}" + (f":{node.code}" if node.code else "")
    inner = [digest_of(child, resolve) for child in (*node.keys, *node.items)]
    return hashlib.sha256(f"{node.container}{len(node.keys)}{inner}".encode()).hexdigest()


def resolved(node: Node, resolve: Resolve) -> Node:
    """Return a node in which every ref is replaced by its value."""
    if isinstance(node, RefData):
        return resolve(node)
    if isinstance(node, Group):
        items = tuple(resolved(child, resolve) for child in node.items)
        return Group(
            container=node.container, items=items, keys=tuple(resolved(child, resolve) for child in node.keys)
        )
    return node


def _change(part: str, before: str, now: str) -> str:
    if part.startswith(_PACKAGE):
        return f"{part.removeprefix(_PACKAGE)} {before} became {now}"
    return f"{_readable(part)} changed"


def _strangers(spec: StepSpec, resolve: Resolve) -> bool:
    """Tell whether an input is an object of a package that the code of the step does not name."""
    known = {*_OWN_KINDS, *(spec.packages or ())}
    for node in spec.inputs.values():
        for leaf in _leaves(node, resolve):
            root, dot, _ = leaf.kind.partition(".")
            own = {name.partition(":")[0].partition(".")[0] for name in leaf.refers}
            if dot and root not in own and not {root.lower(), _PACKAGE_OF.get(root, root)} & known:
                return True
    return False


def _leaves(node: Node, resolve: Resolve) -> Iterable[Artifact]:
    for leaf in walk(node):
        if isinstance(leaf, Artifact):
            yield leaf
        else:
            yield from _leaves(resolve(leaf), resolve)


def _names(node: Node, resolve: Resolve) -> list[str]:
    """Return the names of the code that a node's content refers to, sorted."""
    if isinstance(node, Artifact):
        return list(node.refers)
    found: set[str] = set()
    for leaf in walk(node):
        found |= set(leaf.refers if isinstance(leaf, Artifact) else _names(resolve(leaf), resolve))
    return sorted(found)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _readable(part: str) -> str:
    if part == "rules":
        return "the version of Fairway's rules"
    if part.startswith(_INPUT_CODE):
        return f"the {part}"
    return part.replace("code ", "", 1) if part.startswith("code ") else part
