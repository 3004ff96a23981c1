"""A version of a model: its evaluation, gates, lineage, signature, samples and files; and two versions beside each other."""

import asyncio

import msgspec
from starlette.responses import Response

from fairway.evaluation.pictures import pictures
from fairway.pages import lineage
from fairway.pages.models import aliases_of, numbered
from fairway.pages.packages import Content, content, contents, download
from fairway.pages.samples import samples_of
from fairway.pages.visit import View, Visit
from fairway.plan.versions import differences, main_metric, served_at, verdicts
from fairway.spec.endpoint import EndpointStatus
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import (
    Evaluation,
    average_rows,
    class_rows,
    cluster_rows,
    metric_rows,
    title_of,
)
from fairway.spec.model import ModelVersion

_MOST_COMPARED = 100


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation as texts: a title, its metrics, and a table of classes or clusters with its head."""

    title: str
    metrics: list[tuple[str, str]]
    head: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    notes: tuple[str, ...] = ()


class Versions:
    """The pages about versions of models."""

    def views(self) -> list[View]:
        """Return the pages, and the downloads."""
        one = "/models/{name}/{version}"
        return [
            View(path=one, handler=self.one),
            View(path=f"{one}/compare", handler=self.compare),
            View(path=f"{one}/files/{{part}}/{{number}}", handler=self.file),
        ]

    async def one(self, visit: Visit) -> Response:
        """Show one version."""
        platform = visit.platform
        version = await platform.resolve(numbered(visit))
        every, aliases, endpoints, samples = await asyncio.gather(
            platform.versions(version.name),
            platform.aliases(version.name),
            platform.endpoints(),
            samples_of(platform, version),
        )
        places = served_at(endpoints).get((version.name, version.version), [])
        files, why = await _files(visit, version)
        numbers = [one.version for one in every]
        return visit.page(
            "version.html",
            title=f"{version.name} version {version.version}",
            command=f"fairway models show {version.name}:{version.version}",
            version=version,
            aliases=aliases_of(aliases).get(version.version, []),
            places=places,
            evaluation=_tables(version.evaluation),
            pictures=pictures(version.evaluation) if version.evaluation is not None else {},
            verdicts=verdicts(version),
            lineage=lineage.draw(version, places),
            samples=samples,
            files=files,
            files_missing=why,
            earlier=max((number for number in numbers if number < version.version), default=0),
            later=min((number for number in numbers if number > version.version), default=0),
            against=_compared_with(version, endpoints, numbers),
        )

    async def compare(self, visit: Visit) -> Response:
        """Show what differs between two versions, the second in `?with=`."""
        version = await visit.platform.resolve(numbered(visit))
        every = await visit.platform.versions(version.name)
        wanted = visit.query.get("with", "")
        other = next((one for one in every if str(one.version) == wanted), None)
        found = differences(other, version) if other is not None else {}
        drawn = [
            (one, pictures(one.evaluation))
            for one in (other, version)
            if one is not None and one.evaluation is not None
        ]
        names = list(dict.fromkeys(name for _, some in drawn for name in some))
        return visit.page(
            "version_compare.html",
            title=f"{version.name}: version {wanted or '…'} and {version.version}",
            command=f"fairway models compare {version.name}:{wanted or 'VERSION'} {version.name}:{version.version}",
            version=version,
            other=other,
            numbers=[one.version for one in every[::-1] if one.version != version.version][:_MOST_COMPARED],
            differing=list(found.items()),
            figures=_moved(other, version),
            drawn=[(name, [(one.version, some.get(name, "")) for one, some in drawn]) for name in names],
        )

    async def file(self, visit: Visit) -> Response:
        """Send a file of a version."""
        version = await visit.platform.resolve(numbered(visit))
        wanted = visit.request.path_params
        return download(
            visit.platform, await content(visit.platform, version, wanted["part"], wanted["number"])
        )


async def _files(visit: Visit, version: ModelVersion) -> tuple[list[Content], str]:
    """Return the files of a version, or why they cannot be listed."""
    try:
        return await contents(visit.platform, version), ""
    except FairwayError as error:
        return [], error.message


def _tables(evaluation: Evaluation | None) -> Tables | None:
    if evaluation is None:
        return None
    if evaluation.per_class:
        head, rows = class_rows(evaluation)
        rows += average_rows(evaluation)
    else:
        head, rows = cluster_rows(evaluation) if evaluation.per_cluster else ((), [])
    return Tables(
        title=title_of(evaluation),
        metrics=metric_rows(evaluation),
        head=head,
        rows=rows,
        notes=evaluation.notes,
    )


def _compared_with(version: ModelVersion, endpoints: list[EndpointStatus], numbers: list[int]) -> int:
    """Return the version to compare with: the one that serves, else the one before; 0 for none."""
    serving = [
        number
        for (model, number), _ in served_at(endpoints).items()
        if model == version.name and number != version.version
    ]
    return max(serving, default=max((one for one in numbers if one < version.version), default=0))


def _moved(other: ModelVersion | None, version: ModelVersion) -> list[tuple[str, float, float]]:
    """Return the metrics that both versions have and that differ, the main one first."""
    if other is None or other.evaluation is None or version.evaluation is None:
        return []
    before, now = other.evaluation.metrics, version.evaluation.metrics
    names = dict.fromkeys([main_metric(version), *now])
    return [
        (name, before[name], now[name])
        for name in names
        if name in before and name in now and before[name] != now[name]
    ]
