"""The generator of the Helm chart: `python charts/generate.py` writes it, `--check` tells whether it is fresh.

The manifests in Python are the only source of the objects. They are rendered with settings whose values stand nowhere else,
and each value is then replaced by the expression that Helm fills in.

Written by hand are only `_fairway.tpl`, `NOTES.txt`, and the values for clusters in `ci/`.
"""

import json
import sys
import tomllib
from pathlib import Path

import templates
import values

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "fairway"
MADE = "Made by `make chart` from the manifests in Python. Do not edit."


def about() -> str:
    """Return Chart.yaml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return (
        f"# {MADE}\n"
        "apiVersion: v2\n"
        "name: fairway\n"
        f"description: {json.dumps(project['description'])}\n"
        "type: application\n"
        f"version: {json.dumps(project['version'])}\n"
        f"appVersion: {json.dumps(project['version'])}\n"
        'kubeVersion: ">=1.28.0-0"\n'
    )


def files() -> dict[str, str]:
    """Return every generated file of the chart, by its place."""
    return {
        "Chart.yaml": about(),
        "values.yaml": values.values(MADE),
        "values.schema.json": json.dumps(values.schema(MADE), indent=2) + "\n",
        **templates.templates(f"{{{{- /* {MADE} */ -}}}}"),
    }


def stale() -> list[str]:
    """Return the places of files that are not as the manifests say, or that nothing makes."""
    wanted = files()
    there = {
        str(path.relative_to(CHART)): path.read_text("utf-8")
        for path in CHART.rglob("*")
        if path.is_file() and MADE in path.read_text("utf-8")
    }
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write() -> None:
    """Write the chart, and remove files that an earlier one had."""
    wanted = files()
    for name in stale():
        path = CHART / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in wanted:
            path.write_text(wanted[name], "utf-8")
        else:
            path.unlink()


if __name__ == "__main__":
    if "--check" in sys.argv:
        found = stale()
        sys.exit(f"run `make chart`: {', '.join(found)} is not fresh" if found else 0)
    write()
