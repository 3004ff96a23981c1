"""An endpoint tried out: a form for one request, its answer and time, and the same request for a shell and for Python."""

import contextlib
import time
from typing import Any, cast

import msgspec
from starlette.responses import Response

from fairway.pages import question_form
from fairway.pages.endpoints import named
from fairway.pages.question_form import FormField
from fairway.pages.request_code import as_curl, as_python, curl_with_files
from fairway.pages.samples import SampleRows, samples_of
from fairway.pages.visit import View, Visit
from fairway.ports.platform import Platform
from fairway.spec.access import Role
from fairway.spec.decoding import UNREADABLE
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.quantities import whole_number
from fairway.spec.serving import Question, Reply

_LONGEST_SHOWN = 100_000
_JSON = "application/json"
_KEPT_SECONDS = 60.0


class Form(msgspec.Struct, kw_only=True):
    """A form for one endpoint.

    Attributes:
        fields: the fields.
        about: the description of a function.
        samples: the number of samples that can fill the form.
        row: the number of the sample in the form, from 0.
        why: the reason why there is no form, or only a plain one.
        blind: True when the endpoint tells only those who have its key what it takes.
        files: the fields of files, for a function that takes files.
    """

    fields: list[FormField] = []
    about: str = ""
    samples: int = 0
    row: int = 0
    why: str = ""
    blind: bool = False
    files: list[str] = []


class Trying:
    """The page that tries an endpoint."""

    def __init__(self) -> None:
        self._described: dict[tuple[str, int], tuple[float, bytes]] = {}

    def views(self) -> list[View]:
        """Return the form and its target."""
        path = "/endpoints/{name}/try"
        return [
            View(path=path, handler=self.form, role=Role.RUNNER),
            View(path=path, handler=self.ask, role=Role.RUNNER, method="POST"),
        ]

    async def form(self, visit: Visit) -> Response:
        """Show the form, filled with the sample `?row=`."""
        status = await named(visit)
        form = await self._form(visit.platform, status, whole_number(visit.query.get("row", "0")) or 0, "")
        return self._page(visit, status, form, None, None)

    async def ask(self, visit: Visit) -> Response:
        """Send the request, and show the answer below the form."""
        texts = await visit.form()
        status = await named(visit)
        key = texts.get("key", "").strip()
        form = await self._form(visit.platform, status, whole_number(texts.get("row", "0")) or 0, key)
        if texts.get("blind") and not form.blind:
            # The key was for the form. The person has not seen it yet, so nothing is asked.
            return self._page(visit, status, form, None, None)
        form.fields = question_form.filled(form.fields, texts)
        reply, problem = None, None
        try:
            question = Question(
                body=msgspec.json.encode(question_form.body_of(form.fields)), kind=_JSON, key=key
            )
            if key and not (key.isascii() and key.isprintable() and " " not in key):
                raise UsageError("this is no key", hint="`fairway deploy` showed it when it was made")
            reply = await visit.platform.serving.ask(status.name, question)
        except FairwayError as error:
            problem = error
        return self._page(visit, status, form, reply, problem)

    def _page(
        self,
        visit: Visit,
        status: EndpointStatus,
        form: Form,
        reply: Reply | None,
        problem: FairwayError | None,
    ) -> Response:
        private = bool(status.revision is not None and status.revision.key_digest)
        url = f"{status.address.rstrip('/')}/"
        curl = python = ""
        if form.files:
            curl = curl_with_files(url, form.files, private=private)
        try:
            if not form.fields:
                raise UsageError(form.why)
            body = question_form.body_of(form.fields)
            curl, python = as_curl(url, body, private=private), as_python(url, body, private=private)
        except UsageError as error:
            problem = problem or (error if form.fields else None)
        return visit.page(
            "try.html",
            title=f"Try {status.name}",
            command=f"fairway endpoints {status.name}",
            endpoint=status,
            form=form,
            private=private,
            reply=reply,
            answer=shown(reply) if reply is not None else "",
            problem=problem,
            curl=curl,
            python=python,
        )

    async def _form(self, platform: Platform, status: EndpointStatus, row: int, key: str) -> Form:
        """Return the form of an endpoint."""
        revision = status.revision
        if revision is not None and revision.model is not None:
            version = revision.model
            if version.signature is None:
                return Form(fields=[FormField(name="", kind="json", note="one row as JSON")])
            samples = await samples_of(platform, version)
            return _of_samples(version.signature, samples, row)
        try:
            described = await self._description(platform, status, key)
        except FairwayError as error:
            return Form(
                fields=[FormField(name="", kind="json", value="null", note="JSON")], why=error.message
            )
        return _of_function(described)

    async def _description(self, platform: Platform, status: EndpointStatus, key: str) -> Any:
        """Return the OpenAPI description of a function, which is asked for once a minute. Raises FairwayError."""
        of = (status.name, status.serving)
        made, content = self._described.get(of, (0.0, b""))
        if time.monotonic() - made > _KEPT_SECONDS or not content:
            question = Question(method="GET", path="/openapi.json", key=key)
            reply = await platform.serving.ask(status.name, question)
            if reply.status != 200:
                raise FairwayError(
                    "the endpoint describes itself only to those who have its key"
                    if reply.status == 401
                    else f"the endpoint does not describe itself: status {reply.status}"
                )
            content = reply.body
            if not key:
                self._described = {of: (time.monotonic(), content)} | dict(
                    list(self._described.items())[-50:]
                )
        try:
            return msgspec.json.decode(content)
        except UNREADABLE:
            raise FairwayError("the endpoint's description cannot be read") from None


def _of_samples(signature: Any, samples: SampleRows, row: int) -> Form:
    place = min(row, max(0, len(samples.rows) - 1))
    values = samples.rows[place][: len(samples.inputs)] if samples.rows else []
    fields = question_form.of_signature(signature, values, samples.inputs)
    return Form(fields=fields, samples=len(samples.rows), row=place)


def _of_function(described: Any) -> Form:
    """Return the form of a function from its OpenAPI description."""
    try:
        operation = described["paths"]["/"]["post"]
        takes = operation["requestBody"]["content"]
        about = str(operation.get("description", ""))
        if _JSON not in takes:
            why = f"it takes {' or '.join(map(str, takes))}, which this form cannot send"
            return Form(about=about, why=why, files=_files(takes))
        content = cast("dict[str, Any]", takes[_JSON])
        return Form(
            fields=question_form.of_schema(content.get("schema", {}), content.get("example")), about=about
        )
    except (KeyError, TypeError, AttributeError, IndexError):
        fields = [FormField(name="", kind="json", value="null", note="JSON")]
        return Form(fields=fields, why="its description is not understood")


def _files(takes: "dict[str, Any]") -> list[str]:
    """Return the fields of a multipart request. Raises KeyError, TypeError."""
    return [str(name) for name in takes["multipart/form-data"]["schema"]["properties"]]


def shown(reply: Reply) -> str:
    """Return the content of an answer as text, laid out if it is JSON, and cut if it is long."""
    text = reply.body.decode("utf-8", "replace")
    if reply.kind.partition(";")[0].strip() == _JSON and len(text) <= _LONGEST_SHOWN:
        with contextlib.suppress(*UNREADABLE):
            text = msgspec.json.format(reply.body, indent=2).decode("utf-8", "replace")
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
