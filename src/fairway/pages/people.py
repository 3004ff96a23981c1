"""The pages about people: who changed what, and the tokens by which people get in."""

from starlette.responses import Response

from fairway.pages.visit import View, Visit, address
from fairway.spec.access import Role
from fairway.spec.deeds import KINDS, Deed, DeedQuery, Kind
from fairway.spec.errors import UsageError
from fairway.spec.quantities import whole_number

_PAGE = 50
_MOST = 2**53 - 1
_CHANGES = "/system/changes"
_TOKENS = "/system/tokens"
_BY_WORD: dict[str, Kind] = {kind: kind for kind in KINDS}


class People:
    """The pages about people."""

    def views(self) -> list[View]:
        """Return the pages, and the forms that give and take a token."""
        role = Role.ADMINISTRATOR
        return [
            View(path=_CHANGES, handler=self.changes),
            View(path=_TOKENS, handler=self.tokens, role=role),
            View(path=_TOKENS, handler=self.give, role=role, method="POST"),
            View(path=f"{_TOKENS}/{{name}}/take", handler=self.take, role=role, method="POST"),
        ]

    async def changes(self, visit: Visit) -> Response:
        """Show who changed what, newest first."""
        query = _query(visit.query)
        found = await visit.platform.deeds(query)
        older = ""
        if len(found) == query.limit:
            asked = {"who": query.who, "kind": query.kind or "", "name": query.name}
            older = address("system", "changes", **asked, before=str(found[-1].number))
        return visit.page(
            "changes.html",
            title="Who changed what",
            command=_command(query),
            query=query,
            kinds=KINDS,
            changes=[(one, _page_of(one)) for one in found],
            older=older,
        )

    async def tokens(self, visit: Visit) -> Response:
        """Show the tokens of people."""
        return await self._shown(visit)

    async def give(self, visit: Visit) -> Response:
        """Give a token, and show it this once."""
        form = await visit.form()
        name, role = form.get("name", "").strip(), form.get("role", "")
        try:
            made = await visit.platform.people.give(name, role)
        except UsageError as error:
            return await self._shown(visit, status=400, error=error, name=name, role=role)
        return await self._shown(visit, made=made)

    async def take(self, visit: Visit) -> Response:
        """Take a token away."""
        await visit.form()
        await visit.platform.people.take(visit.request.path_params["name"])
        return visit.go(_TOKENS)

    async def _shown(self, visit: Visit, status: int = 200, **values: object) -> Response:
        return visit.page(
            "tokens.html",
            title="Tokens",
            command="fairway tokens",
            status=status,
            roles=[role.word for role in Role],
            tokens=await visit.platform.people.tokens(),
            **({"made": None, "error": None, "name": "", "role": "viewer"} | values),
        )


def _query(asked: dict[str, str]) -> DeedQuery:
    """Return the query in the address of a page. Raises UsageError."""
    before = whole_number(asked.get("before", "") or "0", _MOST)
    if before is None:
        raise UsageError("before is the number of a change", hint=f"see {_CHANGES}")
    return DeedQuery(
        who=asked.get("who", ""),
        kind=_kind(asked.get("kind", "")),
        name=asked.get("name", ""),
        limit=_PAGE,
        before=before,
    )


def _kind(word: str) -> Kind | None:
    found = _BY_WORD.get(word)
    if found is None and word:
        raise UsageError(f"{word[:40]!r} is no kind of thing", hint=f"the kinds are {', '.join(KINDS)}")
    return found


def _command(query: DeedQuery) -> str:
    words = [
        query.name,
        f"--by {query.who}" if query.who else "",
        f"--kind {query.kind}" if query.kind else "",
    ]
    return " ".join(["fairway audit", *filter(None, words)])


def _page_of(deed: Deed) -> str:
    """Return the address of the page of a thing; empty if it has none."""
    place = {"run": "runs", "model": "models", "endpoint": "endpoints"}.get(deed.kind, "")
    return address(place, deed.name) if place and deed.name else ""
