"""The dry run: it finds out which steps a run would carry out, without running any of them.

The body of the pipeline runs in a child as always. Its calls are answered only where an earlier result can be used. The
dry run ends where the body needs a value that only a real run could give.
"""

import asyncio
from collections.abc import Callable

from fairway.engine import lookups
from fairway.engine.references import References
from fairway.plan import cachekey
from fairway.ports import Host, MetadataStore
from fairway.spec.artifact import Artifact, Group, Node, RefData, walk
from fairway.spec.places import Back, Gone
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunSpec, StepSpec
from fairway.spec.wire import (
    DRIVER,
    Answer,
    Await,
    Call,
    Exited,
    FromHost,
    Identified,
    Returned,
    Said,
    Start,
    Stop,
    decode_from_child,
)

Foreseen = tuple[str, str, str]


class Foresight:
    """The answering side of a dry run: it serves the host that runs the pipeline's body from the cache alone."""

    def __init__(
        self,
        metadata: MetadataStore,
        holds: Callable[[Artifact], bool],
        project: ProjectSpec,
        spec: RunSpec,
    ) -> None:
        self._metadata = metadata
        self._holds = holds
        self._project = project
        self._spec = spec
        self._outputs: dict[str, tuple[Artifact, ...]] = {}
        self._specs: dict[str, StepSpec] = {}
        self._found: list[Foreseen] = []
        self._host: Host | None = None
        self._code = References()
        self._later: list[Call | Await | Returned] = []
        self._over = False
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def look(self, host: Host) -> list[Foreseen]:
        """Start the body and collect the steps that it would carry out."""
        self._host = host
        host.send(
            Start(
                run=self._spec.name,
                step=DRIVER,
                attempt=1,
                task=self._spec.pipeline,
                inputs=dict(self._spec.parameters),
            )
        )
        await self._done
        return self._found

    def receive(self, host: Host, message: FromHost | Gone | Back) -> None:
        """Handle a message of the host."""
        if self._done.done():
            return
        if isinstance(message, Gone) or (isinstance(message, Exited) and not self._later):
            self._done.set_result(None)
        elif isinstance(message, Exited):
            self._over = True
        elif isinstance(message, Identified):
            # Answer the waiting messages in the order of their arrival: a later call may depend on an earlier one.
            self._code.answered(message.digests)
            later, self._later = self._later, []
            for said in later:
                self._take(said)
            if self._over and not self._later:
                self._done.set_result(None)
        elif isinstance(message, Said):
            said = decode_from_child(bytes(message.message))
            if isinstance(said, Call | Await | Returned):
                self._take(said)

    def _take(self, said: Call | Await | Returned) -> None:
        if self._later:
            self._later.append(said)
        elif isinstance(said, Call):
            self._call(said)
        elif isinstance(said, Await):
            self._await(said)
        elif said.failure is not None:
            self._found.append(("", "stops", said.failure.message))

    def _call(self, said: Call) -> None:
        spec = said.spec
        self._specs[spec.name] = spec
        title = f"{spec.name} {spec.label}".strip()
        refs = {
            leaf.step for node in spec.inputs.values() for leaf in walk(node) if isinstance(leaf, RefData)
        }
        unknown = sorted(refs - self._outputs.keys())
        if unknown:
            self._found.append(
                (title, "run" if not spec.cache else "may run", f"depends on {', '.join(unknown[:3])}")
            )
        elif not spec.cache:
            self._found.append((title, "run", "its task has no cache"))
        else:
            names = cachekey.referred(spec, self._resolve)
            if self._host is not None and self._code.wait(spec.name, names, self._host):
                self._later.append(said)
                return
            if why := cachekey.unknown(spec, self._resolve, self._code.digests):
                self._found.append((title, "run", why))
                return
            environment = lookups.environment_digest(spec.environment, self._project)
            parts = cachekey.parts(spec, environment, self._resolve, self._code.digests)
            hit = self._metadata.cached(cachekey.key(spec.task, parts))
            if hit is not None and all(map(self._holds, hit.outputs)):
                self._outputs[spec.name] = hit.outputs
                self._found.append((title, "cached", f"result of run {hit.run}"))
            elif hit is not None:
                self._found.append((title, "run", lookups.content_lost(hit.run)))
            else:
                before = self._metadata.last_parts(self._spec.pipeline, spec.task, spec.label)
                self._found.append((title, "run", cachekey.explain(before, parts, spec.label)))

    def _await(self, message: Await) -> None:
        outputs = self._outputs.get(message.step)
        if self._host is None:
            return
        if outputs is not None:
            self._host.send(Answer(step=DRIVER, question=message.question, outputs=outputs))
            return
        self._found.append(("…", "", f"what follows depends on the value of {message.step}"))
        self._host.send(Stop(step=DRIVER, attempt=1))

    def _resolve(self, ref: RefData) -> Node:
        outputs = self._outputs[ref.step]
        if ref.item >= 0:
            return outputs[ref.item]
        return Group("tuple", outputs) if self._specs[ref.step].outputs else outputs[0]
