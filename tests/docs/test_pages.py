"""The documentation tells of everything there is, its links lead somewhere, and generated pages are fresh."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import fairway
from fairway.cli.main import COMMANDS, cli
from fairway.cluster import manifests
from fairway.cluster.manifests import Settings
from fairway.cluster.rules import RULES
from fairway.control.api import Api
from fairway.control.ended_routes import EndedRoutes
from fairway.control.waiting_routes import WaitingRoutes
from fairway.formats import codecs
from fairway.spec.install import Install

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def reference(name: str) -> str:
    """A page of the reference."""
    return (ROOT / "docs" / "reference" / name).read_text("utf-8")


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_and_option_is_told_of() -> None:
    told = reference("commands.md")
    context = click.Context(cli)
    commands: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        commands.append((name, command))
        if isinstance(command, click.Group):
            commands += [(f"{name} {inner}", found) for inner, found in command.commands.items()]
    assert len(commands) > len(COMMANDS)
    for name, command in commands:
        assert f"## fairway {name}\n" in told
        for one in command.params:
            if isinstance(one, click.Option):
                assert all(option in told for option in one.opts), (name, one.opts)


def test_the_page_on_security_tells_the_rights_of_the_control_plane() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    told = {
        name: set(verbs.split(", "))
        for name, verbs in re.findall(r"^\| `([a-z/]+)` \| ([a-z, ]+) \|", text, re.M)
    }
    had: dict[str, set[str]] = {}
    for rule in RULES:
        for resource in rule.resources:
            had.setdefault(resource, set()).update(rule.verbs)
    assert told == had


def test_the_page_on_installing_tells_of_every_object() -> None:
    text = (ROOT / "docs" / "howto" / "install-on-kubernetes.md").read_text("utf-8")
    install = Install(uid="0" * 32, namespace="team", version="1", image="r.example/f@sha256:" + "a" * 64)
    objects = manifests.render(Settings(install=install))
    assert "It writes thirteen objects" in text
    assert len(objects) == 13
    rows = [row for row in text.splitlines() if row.startswith("| ")]
    for one in objects:
        assert any(one.kind in row and f"`{one.metadata.name}`" in row for row in rows), one.metadata.name


def test_every_public_name_is_told_of() -> None:
    told = reference("project-file.md")
    assert [name for name in fairway.__all__ if f"## fw.{name}\n" not in told] == []


def test_every_format_is_told_of() -> None:
    told = reference("formats.md")
    names = {*codecs._DECODE, *(name for name, _ in codecs._BY_KIND), "json", "bundle", "skops"}
    assert len(names) > 12
    assert [name for name in sorted(names) if f"`{name}`" not in told] == []


def test_every_route_and_every_metric_is_told_of() -> None:
    told = reference("http.md").replace("NAME", "{name}")
    # Those that a control plane in a cluster alone has are among them.
    own = [*EndedRoutes(lambda name: []).entries(), *WaitingRoutes(lambda key: []).entries()]
    for entry in Api(None, more=own).entries():  # type: ignore[arg-type]
        assert f"{entry.method} {entry.path}`" in told, entry
    served = "".join(
        (ROOT / "src/fairway/server" / name).read_text("utf-8") for name in ("app.py", "models.py")
    )
    routes = set(re.findall(r'"(/[a-z0-9./]*)"', served)) - {"/"}
    assert {"/livez", "/v2", "/openapi.json"} <= routes
    assert [route for route in sorted(routes) if f"`GET {route}`" not in told] == []
    metrics = re.findall(r'"(fairway_[a-z_]+)"', (ROOT / "src/fairway/server/metrics.py").read_text("utf-8"))
    assert metrics
    families = {re.sub(r"_(sum|count)$", "", name) for name in metrics}
    assert [name for name in sorted(families) if f"`{name}" not in told] == []


def test_every_setting_is_told_of() -> None:
    told = reference("settings.md")
    found = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"[\"\'](FAIRWAY_[A-Z]+)[\"\']", path.read_text("utf-8"))
    }
    assert {"FAIRWAY_HOME", "FAIRWAY_TOKEN"} <= found
    assert [name for name in sorted(found) if name not in told] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        assert (page.parent / target.partition("#")[0]).exists(), target


def test_every_page_can_be_found_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in LINK.findall(index.read_text("utf-8"))
    }
    missing = [
        str(page.relative_to(ROOT))
        for page in (ROOT / "docs").rglob("*.md")
        if page != index and "decisions" not in page.parts and page.resolve() not in linked
    ]
    assert missing == []
