"""Earlier results for the cached steps of a run, found by cache key, and an explanation for each step without one."""

import hashlib
from collections.abc import Callable

import msgspec

from fairway.engine.references import References
from fairway.plan import cachekey
from fairway.plan.run import RunState
from fairway.ports import Host, MetadataStore
from fairway.spec.artifact import Artifact
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.run import RunSpec


class Explained(msgspec.Struct, frozen=True):
    """A step's cache key, the parts of the key, and the reason why the step ran or did not.

    Attributes:
        run: the run whose result is used; empty when the step ran.
        step: the step of that run.
    """

    why: str = "ran: its task has no cache"
    key: str = ""
    parts: dict[str, str] = {}
    run: str = ""
    step: str = ""


_NO_CACHE = Explained()


class Lookups:
    """The lookups of one run. They answer the action `LookUp`."""

    def __init__(
        self, metadata: MetadataStore, holds: Callable[[Artifact], bool], spec: RunSpec, project: ProjectSpec
    ) -> None:
        self._metadata = metadata
        self._holds = holds
        self._spec = spec
        self._project = project
        self._code = References()
        self._found: dict[str, Explained] = {}

    def look_up(self, name: str, state: RunState, home: Host | None) -> None:
        """Report to the state whether the step's result is known. This may have to wait for an answer of `home`."""
        spec = state.steps[name].spec
        referred = cachekey.referred(spec, state.resolve)
        if home is not None and self._code.wait(name, referred, home):
            return
        if why := cachekey.unknown(spec, state.resolve, self._code.digests):
            self._found[name] = Explained(f"ran: {why}")
            state.looked_up(name, None)
            return
        environment = environment_digest(spec.environment, self._project)
        parts = cachekey.parts(spec, environment, state.resolve, self._code.digests)
        key = cachekey.key(spec.task, parts)
        hit = self._metadata.cached(key)
        if hit is not None and all(map(self._holds, hit.outputs)):
            why = f"same code, inputs and environment as in run {hit.run}"
            self._found[name] = Explained(why, key, parts, hit.run, hit.step)
            state.looked_up(name, hit.outputs)
            return
        if hit is not None:
            why = content_lost(hit.run)
        else:
            before = self._metadata.last_parts(self._spec.pipeline, spec.task, spec.label)
            why = cachekey.explain(before, parts, spec.label)
        self._found[name] = Explained(f"ran: {why}", key, parts)
        state.looked_up(name, None)

    def answered(self, digests: dict[str, str]) -> list[str]:
        """Take the digests that `home` found. Return the steps to look up again."""
        return self._code.answered(digests)

    def home_lost(self) -> list[str]:
        """Forget the open questions to `home`. Return the steps to look up again.

        These steps run uncached, because an answer may never come.
        """
        return self._code.lost()

    def explain(self, name: str) -> Explained:
        """Take out the explanation for a step that is over. It is forgotten after that."""
        return self._found.pop(name, _NO_CACHE)


def environment_digest(environment: EnvironmentSpec | None, project: ProjectSpec) -> str:
    """Return the digest that stands for the installed packages in a cache key."""
    if environment is None:
        return project.environment
    text = "\n".join([environment.python or project.python, *environment.requirements])
    return hashlib.sha256(text.encode()).hexdigest()


def content_lost(run: str) -> str:
    """Explain why a step runs whose result is known but lost."""
    return f"what it left in run {run} is damaged or no longer in the store"
