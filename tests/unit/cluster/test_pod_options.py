"""The options for pods of an installation, by the words of the command line."""

import json

import msgspec
import pytest
from click.testing import CliRunner

from fairway.cli.installing import render_command
from fairway.cli.pod_flags import pod_options
from fairway.cluster.pod_options import PodOptions
from fairway.spec.errors import UsageError
from fairway.spec.install import DriverSize, Install, StepPods

IMAGE = f"ghcr.io/acme/fairway@sha256:{'a' * 64}"
INSTALL = Install(
    uid="0" * 32, namespace="team", version="1", image=IMAGE, user=7, pod_labels={"team": "risk"}
)


def rendered(*words: str) -> tuple[Install, str]:
    """Render an installation, and return what its processes read and all objects as text."""
    done = CliRunner().invoke(render_command, ["--image", IMAGE, *words], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    line = next(line for line in done.output.splitlines() if line.strip().startswith('"install.json": '))
    content = json.loads(line.split(":", 1)[1])
    return msgspec.json.decode(content, type=Install), done.output


def test_each_word_reaches_the_installation() -> None:
    install, objects = rendered(
        *("--user", "1000", "--pod-label", "team=risk", "--pod-label", "a.b/c=", "--trust", "our-ca"),
        *("--pods-most", "8", "--pods-kept", "2m", "--driver-cpu", "1500m", "--driver-memory", "2Gi"),
    )
    assert (install.user, install.pod_labels, install.trust) == (
        1000,
        {"team": "risk", "a.b/c": ""},
        "our-ca",
    )
    assert install.pods == StepPods(most=8, kept=120.0)
    assert install.driver == DriverSize(cpu=1.5, memory="2Gi")
    assert "runAsUser: 1000" in objects
    assert 'team: "risk"' in objects


def test_the_cluster_chooses_the_user_and_a_pod_is_kept_for_no_time() -> None:
    install, objects = rendered("--user", "0", "--pods-kept", "0")
    assert "runAsUser" not in objects
    assert install.pods.kept == 0.0


@pytest.mark.parametrize(
    "words",
    [
        ("--user", "-1"),
        ("--user", str(2**31)),
        ("--pod-label", "team"),
        ("--pod-label", "te am=x"),
        ("--pod-label", "team=-"),
        ("--pod-label", "fairway.dev/host=x"),
        ("--pod-label", "app.kubernetes.io/name=x"),
        ("--trust", "Our_CA"),
        ("--pods-most", "0"),
        ("--pods-kept", "never"),
        ("--driver-cpu", "0"),
        ("--driver-cpu", "nan"),
        ("--driver-memory", "12"),
    ],
)
def test_what_makes_no_pods_is_refused_with_a_hint(words: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        rendered(*words)
    assert refused.value.hint or "cannot be the name" in refused.value.message


def test_an_empty_word_takes_away_what_is_there() -> None:
    given = dict.fromkeys(("user", "pods_most", "pods_kept", "driver_cpu", "driver_memory"))
    options = pod_options({**given, "pod_labels": ("",), "trust": ""})
    changed = options.applied(msgspec.structs.replace(INSTALL, trust="our-ca"))
    assert (changed.pod_labels, changed.trust, changed.user) == ({}, "", INSTALL.user)


def test_an_option_that_is_not_given_leaves_what_is_there() -> None:
    assert PodOptions().applied(INSTALL) == INSTALL
    assert PodOptions(labels={}).applied(INSTALL).pod_labels == {}
    assert PodOptions(most=3).applied(INSTALL).pods == StepPods(most=3)
