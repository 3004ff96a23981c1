"""The result of a run, and any other value of it, as lines for a person."""

from typing import cast

from fairway.engine import addresses, bringing
from fairway.formats import previews
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, Group, Node, RefData, walk
from fairway.spec.errors import FairwayError

_SHORT = 8
_MOST = 12


async def of_run(platform: Platform, name: str, result: Node) -> list[str]:
    """Return the lines that show what the pipeline of a run returned."""
    if any(isinstance(leaf, RefData) for leaf in walk(result)):
        result = addresses.resolved(await platform.run(name), result)
    found = await lines(platform, result, rows=_SHORT)
    if isinstance(result, Artifact) and result.format in ("file", "folder"):
        return [f"result  {found[0]}", f"  `fairway get {name} -o {result.note or 'PATH'}` brings it here"]
    return [f"result  {found[0]}"] if len(found) == 1 else ["result", *(f"  {line}" for line in found)]


async def lines(platform: Platform, node: Node, *, rows: int) -> list[str]:
    """Return a value as lines. Several values are shown one after the other, each below its number or key."""
    if isinstance(node, Group):
        return await _several(platform, node, rows)
    artifact = cast("Artifact", node)
    if not previews.is_shown(artifact):
        return [previews.named(artifact)]
    try:
        content = await bringing.held(platform, artifact, previews.LARGEST)
    except FairwayError as error:
        return [f"{previews.named(artifact)}  ({error.message})"]
    return previews.preview(artifact, content, rows=rows, brief=rows <= _SHORT)


def key_of(group: Group, place: int) -> str:
    """Return the number of an item of a group, or its key as text."""
    key = group.keys[place] if group.container == "dict" else None
    if isinstance(key, Artifact) and key.inline is not None and key.format == "json":
        return key.inline.decode("utf-8", "replace").strip('"')
    return str(place)


async def _several(platform: Platform, group: Group, rows: int) -> list[str]:
    found: list[str] = []
    for place, item in enumerate(group.items[:_MOST]):
        shown = await lines(platform, item, rows=min(rows, _SHORT))
        key = key_of(group, place)
        found += [f"{key}: {shown[0]}"] if len(shown) == 1 else [f"{key}:", *(f"  {line}" for line in shown)]
    if len(group.items) > _MOST:
        found.append(f"… {len(group.items) - _MOST} more values")
    return found or ["nothing"]
