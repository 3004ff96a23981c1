"""The health of a platform for pages, which look as well without it."""

from fairway.ports.platform import Platform
from fairway.spec.errors import FairwayError
from fairway.spec.upkeep import Health


async def health_of(platform: Platform) -> Health | None:
    """Return the health of a platform; None if it does not tell."""
    try:
        return await platform.health()
    except FairwayError:
        return None
