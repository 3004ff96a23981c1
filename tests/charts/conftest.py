"""Fixtures of the tests of the Helm chart that need Helm and no cluster."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "charts"))

from lab.building import UnobtainableError, report, tool
from lab.helm import Helm


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster. The first test may have to build it, which takes minutes."""
    output = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with output.global_and_fixture_disabled():
            report(line)

    try:
        tool("helm", say)
    except UnobtainableError as missing:
        pytest.skip(f"no helm: {missing}")
    return Helm(home=tmp_path_factory.mktemp("helm"), namespace="team")
