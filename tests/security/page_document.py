"""A description of all pages and forms, made from the table of pages and from the fields that their code reads."""

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

from fairway.control.entering import LEAVE
from fairway.pages import visit
from fairway.pages.site import Site
from fairway.pages.threshold import ENTER
from fairway.spec.access import Role

TEXT: dict[str, Any] = {"type": "string"}


def names() -> list[str]:
    """Return every name that a page looks for in its address or in a form."""
    found: set[str] = set()
    for path in Path(visit.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_get = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
            )
            first = node.args[0] if is_get and node.args else None  # type: ignore[union-attr]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return sorted(found | {visit.TOKEN, "run", "f0", "parameter.rows"})


def pages() -> list[tuple[str, str]]:
    """Return the method and the path of every page and form."""
    views = Site(None, asyncio.Event()).views()  # type: ignore[arg-type]
    found = [(view.method, view.path.replace(":path}", "}")) for view in views]
    assert {view.role for view in views} == {Role.VIEWER, Role.RUNNER, Role.DEPLOYER, Role.ADMINISTRATOR}
    return [*found, ("GET", ENTER), ("POST", ENTER), ("POST", LEAVE)]


def document() -> dict[str, Any]:
    """Return the description as OpenAPI."""
    known = names()
    assert {"file", "replicas", "alias", "note", "where", "before"} <= set(known)
    form = {"type": "object", "properties": dict.fromkeys(known, TEXT)}
    paths: dict[str, Any] = {}
    for method, path in pages():
        parts = [
            {"name": name, "in": "path", "required": True, "schema": TEXT}
            for name in re.findall(r"{(\w+)", path)
        ]
        asked = [{"name": name, "in": "query", "schema": TEXT} for name in known]
        operation: dict[str, Any] = {"responses": {"200": {"description": "a page"}}, "parameters": parts}
        if method == "POST":
            operation["requestBody"] = {"content": {"application/x-www-form-urlencoded": {"schema": form}}}
        else:
            operation["parameters"] = [*parts, *asked]
        paths.setdefault(path, {})[method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "pages", "version": "1"}, "paths": paths}
