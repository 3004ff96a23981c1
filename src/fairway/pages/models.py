"""The list of models, and one model with its versions."""

import asyncio

from starlette.responses import Response

from fairway.evaluation.charts import line_chart
from fairway.pages.visit import View, Visit, address
from fairway.plan.versions import main_metric, served_at
from fairway.spec.access import Role
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import whole_number

_MOST = 200
_FIGURES = 3


class Models:
    """The pages about models."""

    def views(self) -> list[View]:
        """Return the pages and the form that moves an alias."""
        return [
            View(path="/models", handler=self.all),
            View(path="/models/{name}", handler=self.one),
            View(path="/models/{name}/aliases", handler=self.move, role=Role.DEPLOYER, method="POST"),
        ]

    async def all(self, visit: Visit) -> Response:
        """Show every model with its newest version and where it is served."""
        models, endpoints = await asyncio.gather(visit.platform.models(), visit.platform.endpoints())
        served = served_at(endpoints)
        places = {
            model.name: [
                (number, name)
                for (of, number), names in sorted(served.items())
                if of == model.name
                for name in names
            ]
            for model in models
        }
        return visit.page(
            "models.html",
            title="Models",
            command="fairway models",
            models=models,
            places=places,
            figures_of={model.name: figures(model.newest) for model in models},
        )

    async def one(self, visit: Visit) -> Response:
        """Show the versions of a model, newest first."""
        name = visit.request.path_params["name"]
        versions, aliases, endpoints = await asyncio.gather(
            visit.platform.versions(name), visit.platform.aliases(name), visit.platform.endpoints()
        )
        shown = versions[::-1][:_MOST]
        return visit.page(
            "model.html",
            title=f"Model {name}",
            command=f"fairway models show {name}",
            name=name,
            versions=shown,
            count=len(versions),
            aliases=aliases_of(aliases),
            served=served_at(endpoints),
            figures_of={version.version: figures(version) for version in shown},
            curve=_curve(versions),
        )

    async def move(self, visit: Visit) -> Response:
        """Let an alias name a version, or take it away."""
        fields = await visit.form()
        name = visit.request.path_params["name"]
        alias, number = fields.get("alias", "").strip(), whole_number(fields.get("version", ""), 2**31 - 1)
        if not alias or number is None:
            raise UsageError("an alias and the number of a version are needed")
        await visit.platform.alias(name, alias, number)
        back = fields.get("back", "")
        return visit.go(address("models", name, *([back] if back.isdecimal() else [])))


def aliases_of(found: dict[str, int]) -> dict[int, list[str]]:
    """Return the aliases of one model by the version that they name."""
    named: dict[int, list[str]] = {}
    for alias, number in sorted(found.items()):
        named.setdefault(number, []).append(alias.partition("@")[2])
    return named


def figures(version: ModelVersion) -> list[tuple[str, float]]:
    """Return the metrics of a version that a list shows, the most important first."""
    if version.evaluation is None:
        return []
    metrics = version.evaluation.metrics
    names = dict.fromkeys([main_metric(version), *metrics])
    return [(name, metrics[name]) for name in list(names)[:_FIGURES]]


def numbered(visit: Visit) -> str:
    """Return the reference of the version in the address of a request. Raises NotFound."""
    name, number = visit.request.path_params["name"], visit.request.path_params["version"]
    if number.startswith("@"):
        return f"{name}{number}"
    if whole_number(number, 2**31 - 1) is None:
        raise NotFound(f"there is no version {number[:40]!r} of {name}", hint=f"`fairway models show {name}`")
    return f"{name}:{number}"


def _curve(versions: list[ModelVersion]) -> str:
    """Draw the main metric over the versions; empty if fewer than two have it."""
    metric = main_metric(versions[-1])
    points = [
        (float(version.version), version.evaluation.metrics[metric])
        for version in versions
        if version.evaluation is not None and metric in version.evaluation.metrics
    ]
    if len(points) < 2:
        return ""
    return line_chart({metric: points}, f"{metric} by version", x_name="version", y_name=metric)
