"""A version on its way to an endpoint: first the plan of what would change, then the change itself."""

import msgspec
from starlette.responses import Response

from fairway.pages.changes import Forms, check_seen
from fairway.pages.models import numbered
from fairway.pages.visit import View, Visit, address
from fairway.plan.versions import differences
from fairway.ports.platform import Platform
from fairway.spec.access import Role
from fairway.spec.endpoint import DeployRequest, EndpointStatus
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import Bounds

_USUAL = DeployRequest(name="").replicas


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The change that a deployment would make.

    Attributes:
        endpoint: the name of the endpoint.
        version: the version to serve.
        serving: the endpoint as it is now; None for a new one.
        replicas: the replicas to be.
        others: the endpoints that there are, which may be chosen instead.
        differing: the facts in which the version that serves and the new one differ.
    """

    endpoint: str
    version: ModelVersion
    serving: EndpointStatus | None
    replicas: Bounds
    others: list[str]
    differing: list[tuple[str, tuple[str, str]]]

    @property
    def served(self) -> ModelVersion | None:
        """The version that serves now."""
        revision = self.serving.revision if self.serving is not None else None
        return revision.model if revision is not None else None


class Deploying(Forms):
    """The plan of a deployment, and the form that carries it out."""

    def views(self) -> list[View]:
        """Return the plan and the form."""
        path = "/models/{name}/{version}/deploy"
        return [
            View(path=path, handler=self.plan, role=Role.DEPLOYER),
            View(path=path, handler=self.deploy, role=Role.DEPLOYER, method="POST"),
        ]

    async def plan(self, visit: Visit) -> Response:
        """Show what would change. `?endpoint=` and `?replicas=` choose."""
        version = await visit.platform.resolve(numbered(visit))
        endpoint = visit.query.get("endpoint", "")
        plan = await planned(visit.platform, version, endpoint, visit.query.get("replicas", ""))
        named = f"{version.name}:{version.version}"
        option = f" --name {plan.endpoint}" if plan.endpoint != version.name else ""
        return visit.page(
            "deploy.html",
            title=f"Deploy {version.name} version {version.version}",
            command=f"fairway deploy {named}{option} --replicas {plan.replicas}",
            plan=plan,
            version=version,
        )

    async def deploy(self, visit: Visit) -> Response:
        """Begin the deployment, and lead to the page of its endpoint."""
        fields = await visit.form()
        version = await visit.platform.resolve(numbered(visit))
        endpoint = fields.get("endpoint", "").strip() or version.name
        replicas = Bounds.parse(fields.get("replicas", "")).check()
        if endpoint != fields.get("planned", endpoint):
            # Nobody has seen a plan for this endpoint yet.
            where = address("models", version.name, str(version.version), "deploy", endpoint=endpoint)
            return visit.go(f"{where}&replicas={replicas}")
        seen = fields.get("seen", "")
        current = await _endpoint(visit.platform, endpoint)
        if seen:
            hint = "go back to the version and press Deploy again for a new plan"
            check_seen(endpoint, current, seen, "plan", hint)
        request = DeployRequest(
            name=endpoint,
            model=f"{version.name}:{version.version}",
            replicas=replicas,
            private=fields.get("private") == "on",
        )
        if current is not None and current.revision is not None:
            request = msgspec.structs.replace(request, limits=current.revision.limits)
        what = f"Deploying {version.name} version {version.version}"
        return self._begin(visit, endpoint, what, visit.platform.deploy(request))


async def planned(platform: Platform, version: ModelVersion, endpoint: str, replicas: str) -> Plan:
    """Return the plan of a deployment. Raises UsageError for replicas that cannot be read.

    Without a chosen endpoint, it is the one that serves this model already, else one of the model's name.
    """
    found = await platform.endpoints()
    serving = [one for one in found if one.revision is not None and one.revision.model is not None]
    of_model = [
        one.name
        for one in serving
        if one.revision and one.revision.model and one.revision.model.name == version.name
    ]
    chosen = endpoint or (of_model[0] if of_model and version.name not in of_model else version.name)
    current = next((one for one in found if one.name == chosen), None)
    usual = current.revision.replicas if current is not None and current.revision is not None else _USUAL
    served = current.revision.model if current is not None and current.revision is not None else None
    return Plan(
        endpoint=chosen,
        version=version,
        serving=current,
        replicas=Bounds.parse(replicas).check() if replicas else usual,
        others=[one.name for one in found],
        differing=list(differences(served, version).items()) if served is not None else [],
    )


async def _endpoint(platform: Platform, name: str) -> EndpointStatus | None:
    return next((one for one in await platform.endpoints() if one.name == name), None)
