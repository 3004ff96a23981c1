"""The values of a run: looked into by their types without running any of their code, and sent as they are for download."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.responses import Response, StreamingResponse

from fairway.evaluation import evaluation_html
from fairway.evaluation.charts import bars
from fairway.formats.looks import Look, look, needs_content
from fairway.formats.previews import named
from fairway.pages.looking import LOOKER
from fairway.pages.run_view import RunView
from fairway.pages.visit import SAFE, View, Visit, address
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.errors import FairwayError, NotFound
from fairway.spec.run import RunStatus, StepStatus

_MOST_LEAVES = 30
_MOST_LOOKS = 6
"""The values of one page that are looked into. Of the others, the kind, form and size are shown."""

_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_LARGEST_IMAGE = 8 * 2**20
_SANDBOX = "default-src 'none'; sandbox"
_DRAWING = "style-src 'unsafe-inline'; img-src data:"
_SUFFIX = {"json": ".json", "npy": ".npy", "arrow": ".arrow", "pickle": ".pkl", "safetensors": ".safetensors"}

Find = Callable[[str], StepStatus | None]
"""Function that returns the step of a name; None if there is none."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value on a page.

    Attributes:
        name: its name, such as that of an input.
        of: the step that made it; empty if no step did.
        artifact: None while it does not exist.
        look: the value as far as it is shown.
        histogram: a picture as SVG.
        report: an evaluation as HTML.
        to: the address of its content; empty if it cannot be downloaded.
    """

    name: str
    of: str = ""
    artifact: Artifact | None = None
    look: Look | None = None
    histogram: str = ""
    report: str = ""
    to: str = ""


class Artifacts:
    """The content of the values of a run."""

    def views(self) -> list[View]:
        """Return the addresses of content."""
        return [
            View(path="/runs/{name}/content/{digest}", handler=self.download),
            View(path="/runs/{name}/image/{digest}", handler=self.image),
        ]

    async def download(self, visit: Visit) -> Response:
        """Send the content of a value as a file that a browser only saves."""
        artifact, file = await self._found(visit)
        quoted = quote(file, safe="")
        headers = SAFE | {"content-disposition": f"attachment; filename*=UTF-8''{quoted}"}
        if artifact.inline is not None:
            return Response(artifact.inline, 200, headers, "application/octet-stream")
        headers["content-length"] = str(artifact.size)
        pieces = _pieces(visit.platform, artifact.digest)
        return StreamingResponse(pieces, 200, headers, "application/octet-stream")

    async def image(self, visit: Visit) -> Response:
        """Send an image of pixels, or a drawing that can only draw, for a page to show. Anything else is refused."""
        artifact, _ = await self._found(visit)
        if artifact.size <= _LARGEST_IMAGE and not artifact.files:
            content = await visit.platform.read(artifact)
            seen = await LOOKER.look(artifact, content)
            if seen.image in _IMAGE_TYPES:
                return Response(content, 200, SAFE | {"content-security-policy": _SANDBOX}, seen.image)
            if seen.drawing:
                headers = SAFE | {"content-security-policy": f"{_SANDBOX}; {_DRAWING}"}
                return Response(seen.drawing, 200, headers, "image/svg+xml")
        raise NotFound("this is no image that can be shown")

    async def _found(self, visit: Visit) -> tuple[Artifact, str]:
        """Return the value of a run with a digest, and the name of the file for it. Raises NotFound."""
        params = visit.request.path_params
        status = await visit.platform.run(params["name"])
        for name, artifact in _all(status):
            if artifact.digest == params["digest"]:
                if artifact.files:
                    raise NotFound(
                        "a folder is not sent as one file",
                        hint=f"`fairway get {status.spec.name}/STEP` writes it to this disk",
                    )
                suffix = _SUFFIX.get(artifact.format, "")
                return artifact, f"{status.spec.name}-{name}{suffix}".replace("/", "-")
        raise NotFound("this run has no such value")


async def _pieces(platform: Platform, digest: str) -> AsyncIterator[bytes]:
    offset = 0
    while piece := await platform.piece(digest, offset):
        yield piece
        offset += len(piece)


def _all(status: RunStatus) -> Iterator[tuple[str, Artifact]]:
    """Yield every value of a run with its name."""
    find = {step.spec.name: step for step in status.steps}.get
    yield from status.spec.parameters.items()
    yield from status.shown.items()
    if status.result is not None:
        yield from ((name, one) for name, _, one in leaves(find, "result", status.result) if one is not None)
    for step in status.steps:
        yield from ((step.spec.name, output) for output in step.outputs)
        yield from step.shown.items()
        for name, node in step.spec.inputs.items():
            yield from ((found, one) for found, _, one in leaves(find, name, node) if one is not None)


def leaves(find: Find, name: str, node: Node) -> Iterator[tuple[str, str, Artifact | None]]:
    """Yield the values in a node: name, the step that made it, and the artifact or None while it does not exist."""
    if isinstance(node, Artifact):
        yield name, "", node
    elif isinstance(node, RefData):
        yield from _outputs(find(node.step), name, node)
    else:
        yield from _inside(find, name, node)


def _outputs(made: StepStatus | None, name: str, node: RefData) -> Iterator[tuple[str, str, Artifact | None]]:
    if made is None or not made.outputs:
        yield name, node.step, None
    elif node.item >= 0:
        yield name, node.step, made.outputs[node.item] if node.item < len(made.outputs) else None
    else:
        many = len(made.outputs) > 1
        yield from (
            (f"{name}[{place}]" if many else name, node.step, one) for place, one in enumerate(made.outputs)
        )


def _inside(find: Find, name: str, node: Group) -> Iterator[tuple[str, str, Artifact | None]]:
    for place, item in enumerate(node.items):
        key: Any = node.keys[place] if place < len(node.keys) else None
        shown = _key(key) if isinstance(key, Artifact) else str(place)
        yield from leaves(find, f"{name}[{shown}]", item)


def _key(key: Artifact) -> str:
    text = (key.inline or b"").decode("utf-8", "replace")
    return text[:40] if key.format == "json" else key.note[:40]


async def values(visit: Visit, view: RunView, named_nodes: Mapping[str, Node]) -> tuple[list[Value], int]:
    """Return looks at values by name, and the number of those that are left out."""
    found = [one for name, node in named_nodes.items() for one in leaves(view.steps.get, name, node)]
    shown = [
        await value(visit, view, *one, brief=place >= _MOST_LOOKS)
        for place, one in enumerate(found[:_MOST_LEAVES])
    ]
    return shown, max(0, len(found) - _MOST_LEAVES)


async def value(
    visit: Visit, view: RunView, name: str, of: str, artifact: Artifact | None, *, brief: bool = False
) -> Value:
    """Return a look at one value; with `brief`, only its kind, form and size."""
    if artifact is None:
        return Value(name=name, of=of)
    seen = Look(named=named(artifact)) if brief else await looked(visit.platform, artifact)
    report = evaluation_html(seen.evaluation) if seen.evaluation is not None else ""
    return Value(
        name=name,
        of=of,
        artifact=artifact,
        look=seen,
        histogram=bars(seen.histogram, "Values", "value", "count") if seen.histogram else "",
        report=report,
        to="" if artifact.files else address("runs", view.run.spec.name, "content", artifact.digest),
    )


async def looked(platform: Platform, artifact: Artifact) -> Look:
    """Return a look at an artifact. It is made beside the loop, because it may load a library and read much."""
    if not needs_content(artifact):
        return look(artifact, b"")
    try:
        if artifact.files:
            content = b"".join([piece async for piece in _pieces(platform, artifact.digest)])
        elif artifact.inline is not None:
            content = artifact.inline
        else:
            content = await platform.read(artifact)
    except FairwayError as error:
        return Look(named=named(artifact), more=f"not looked into: {error.message}")
    return await LOOKER.look(artifact, content)
