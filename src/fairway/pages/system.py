"""The system under the platform: checks, storage by kind, what `gc` would free, who did what, and tokens."""

from starlette.responses import Response

from fairway.pages.health import health_of
from fairway.pages.visit import View, Visit
from fairway.spec.access import Role
from fairway.spec.deeds import DeedQuery
from fairway.spec.quantities import format_memory
from fairway.spec.upkeep import DAY, Cleaning

_DEEDS = 10


class System:
    """The page about the system."""

    def views(self) -> list[View]:
        """Return the page, and the form that frees storage."""
        return [
            View(path="/system", handler=self.show),
            View(path="/system/unused", handler=self.unused, role=Role.DEPLOYER),
            View(path="/system/unused", handler=self.clean, role=Role.DEPLOYER, method="POST"),
        ]

    async def show(self, visit: Visit) -> Response:
        """Show the checks and the storage."""
        return visit.page(
            "system.html",
            title="System",
            command="fairway doctor",
            health=await health_of(visit.platform),
            deeds=await visit.platform.deeds(DeedQuery(limit=_DEEDS)),
            tokens=await visit.platform.people.tokens() if visit.may(Role.ADMINISTRATOR) else None,
        )

    async def unused(self, visit: Visit) -> Response:
        """Count the content that nothing refers to."""
        found = await visit.platform.clean(Cleaning(hours=DAY, delete=False))
        return visit.page("unused.html", title="Unused content", command="fairway gc", found=found, freed="")

    async def clean(self, visit: Visit) -> Response:
        """Remove the content that nothing refers to."""
        await visit.form()
        found = await visit.platform.clean(Cleaning(hours=DAY, delete=True))
        return visit.page(
            "unused.html",
            title="Unused content",
            command="fairway gc --delete",
            found=found,
            freed=format_memory(found.size),
        )
