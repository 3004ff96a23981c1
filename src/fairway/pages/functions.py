"""The endpoint functions of a project file on their way to serve: the files, the plan, and the deployment."""

import secrets

from starlette.responses import Response

from fairway.pages.changes import Changes, Forms
from fairway.pages.visit import View, Visit, address
from fairway.spec.access import Role
from fairway.spec.endpoint import DeployRequest
from fairway.spec.errors import NotFound, UsageError

_MOST_PLANS = 20


class Functions(Forms):
    """The pages that deploy functions."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(changes)
        self._plans: dict[str, list[DeployRequest]] = {}

    def views(self) -> list[View]:
        """Return the page and the targets of its forms."""
        role = Role.DEPLOYER
        return [
            View(path="/functions", handler=self.files, role=role),
            View(path="/functions/plan", handler=self.plan, role=role, method="POST"),
            View(path="/functions/deploy", handler=self.deploy, role=role, method="POST"),
        ]

    async def files(self, visit: Visit) -> Response:
        """Show the files of the project that may declare endpoint functions."""
        project = await visit.platform.projects.files()
        return visit.page(
            "functions.html", title="Deploy functions", command="fairway deploy FILE", project=project
        )

    async def plan(self, visit: Visit) -> Response:
        """Import a file, and show which functions would be deployed. Its sources are kept as they are now."""
        fields = await visit.form()
        file = fields.get("file", "")
        requests = await visit.platform.projects.functions(file)
        name = secrets.token_urlsafe(16)
        self._plans = dict([*self._plans.items(), (name, requests)][-_MOST_PLANS:])
        endpoints = {one.name: one for one in await visit.platform.endpoints()}
        return visit.page(
            "functions_plan.html",
            title=f"Deploy {file}",
            command=f"fairway deploy {file}",
            file=file,
            plan=name,
            requests=requests,
            endpoints=endpoints,
        )

    async def deploy(self, visit: Visit) -> Response:
        """Begin to deploy the chosen functions of a plan."""
        fields = await visit.form()
        requests = self._plans.get(fields.get("plan", ""))
        if requests is None:
            raise NotFound("this plan is not known any more", hint="make a new one: press Plan again")
        chosen = [one for one in requests if fields.get(f"take {one.name}") == "on"]
        if not chosen:
            raise UsageError("no function is chosen", hint="go back and choose one")
        for request in chosen:
            what = f"Deploying function {request.function}"
            self._changes.begin(request.name, what, visit.actor.name, visit.platform.deploy(request))
        return visit.go(address("endpoints", *([chosen[0].name] if len(chosen) == 1 else [])))
