"""The Helm chart is what the manifests make of it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "fairway"


def test_the_chart_is_what_the_manifests_make_of_it() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "charts" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_only_hook_of_the_chart_is_its_test_and_there_is_no_custom_resource() -> None:
    hooks = [
        path.name
        for path in (CHART / "templates").rglob("*.yaml")
        if "helm.sh/hook" in path.read_text("utf-8")
    ]
    assert hooks == ["answers.yaml"]
    assert '"helm.sh/hook": "test"' in (CHART / "templates/tests/answers.yaml").read_text("utf-8")
    assert not (CHART / "crds").exists()
