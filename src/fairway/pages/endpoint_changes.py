"""The changes of an endpoint by a form: back to an earlier revision, another number of replicas, and its removal."""

import msgspec
from starlette.responses import Response

from fairway.pages.changes import Forms, check_seen
from fairway.pages.endpoints import named
from fairway.pages.visit import View, Visit
from fairway.plan.revisions import Served, before, last_times
from fairway.spec.access import Role
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus, RevisionSpec
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.quantities import Bounds, whole_number

_ANEW = "look at the endpoint again, and decide anew"


class EndpointChanges(Forms):
    """The forms that change an endpoint."""

    def views(self) -> list[View]:
        """Return the plans and the forms."""
        one = "/endpoints/{name}"
        role, method = Role.DEPLOYER, "POST"
        return [
            View(path=f"{one}/rollback", handler=self.plan_rollback, role=role),
            View(path=f"{one}/rollback", handler=self.rollback, role=role, method=method),
            View(path=f"{one}/scale", handler=self.scale, role=role, method=method),
            View(path=f"{one}/remove", handler=self.plan_removal, role=role),
            View(path=f"{one}/remove", handler=self.remove, role=role, method=method),
        ]

    async def plan_rollback(self, visit: Visit) -> Response:
        """Show what a rollback would change. `?revision=` names the target; without it, it is the one before."""
        status = await named(visit)
        target = await _target(visit, status, visit.query.get("revision", ""))
        return visit.page(
            "rollback.html",
            title=f"Roll back {status.name}",
            command=f"fairway rollback {status.name} {target.deployment.revision}",
            endpoint=status,
            target=target,
        )

    async def rollback(self, visit: Visit) -> Response:
        """Begin a rollback, and lead to the page of the endpoint."""
        fields = await visit.form()
        status = await named(visit)
        target = await _target(visit, status, fields.get("revision", ""))
        check_seen(status.name, status, fields.get("seen", ""), "page", _ANEW)
        number = target.deployment.revision
        what = f"Rolling back to {target.deployment.serves} (revision {number})"
        return self._begin(visit, status.name, what, visit.platform.rollback(status.name, number))

    async def scale(self, visit: Visit) -> Response:
        """Begin to serve the same with another number of replicas."""
        fields = await visit.form()
        status = await named(visit)
        check_seen(status.name, status, fields.get("seen", ""), "page", _ANEW)
        if status.revision is None:
            raise NotFound(f"{status.name} has no revision", hint="deploy a version of a model")
        replicas = Bounds.parse(fields.get("replicas", ""))
        what = f"Changing the replicas from {status.revision.replicas} to {replicas}"
        return self._begin(visit, status.name, what, visit.platform.deploy(again(status.revision, replicas)))

    async def plan_removal(self, visit: Visit) -> Response:
        """Ask for the name of the endpoint that is to be taken away."""
        status = await named(visit)
        return visit.page(
            "remove_endpoint.html",
            title=f"Take {status.name} away",
            command=f"fairway undeploy {status.name}",
            endpoint=status,
        )

    async def remove(self, visit: Visit) -> Response:
        """Begin to take an endpoint away, if its name was typed."""
        fields = await visit.form()
        status = await named(visit)
        if fields.get("typed", "").strip() != status.name:
            raise UsageError(
                f"the name that was typed is not {status.name}, so it was not taken away",
                hint="go back and type the name of the endpoint",
            )

        async def removed() -> Deployed | None:
            await visit.platform.undeploy(status.name)
            return None

        return self._begin(visit, status.name, "Taking it away", removed())


def again(revision: RevisionSpec, replicas: Bounds) -> DeployRequest:
    """Return the request that serves the same as a revision with other replicas."""
    request = DeployRequest(
        name=revision.endpoint, replicas=replicas, limits=revision.limits, image=revision.image
    )
    if revision.model is not None:
        model = f"{revision.model.name}:{revision.model.version}"
        return msgspec.structs.replace(request, model=model)
    return msgspec.structs.replace(
        request, function=revision.function, source=revision.source, module=revision.module
    )


async def _target(visit: Visit, status: EndpointStatus, revision: str) -> Served:
    """Return the last time of the revision to go back to. Raises NotFound."""
    deployments = await visit.platform.serving.deployments(status.name)
    number = whole_number(revision, 2**31 - 1) if revision else 0
    if not number:
        found = before(deployments, status.wanted)
    else:
        past = last_times(deployments)
        found = next((one for one in past if one.deployment.revision == number), None)
    if found is None or found.deployment.revision == status.wanted:
        raise NotFound(
            f"{status.name} has no such revision to go back to",
            hint=f"`fairway endpoints {status.name}` lists its revisions",
        )
    return found
