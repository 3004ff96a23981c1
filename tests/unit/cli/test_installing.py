"""The commands that install, as far as they ask no cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

IMAGE = "registry.example/fairway@sha256:" + "a" * 64


def fairway(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a fresh process, with no kubeconfig."""
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "fairway", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=home,
        env=environment | {"HOME": str(home)},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_render_prints_objects_that_are_the_same_every_time(tmp_path: Path) -> None:
    words = ("render", "--namespace", "ml-team", "--image", IMAGE, "--size", "20Gi", "--pull-secret", "mine")
    first, second = fairway(*words, home=tmp_path), fairway(*words, home=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(first.stdout)}
    claim = objects["PersistentVolumeClaim", "fairway-store"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    pod = objects["Deployment", "fairway"]["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "mine"}]
    assert {one["metadata"]["namespace"] for one in objects.values()} == {"ml-team"}


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("render",), "no image to render", "image push"),
        (("render", "--image", "fairway:latest"), "not named by its digest", "sha256"),
        (("render", "--image", IMAGE, "-n", "Not_Good"), "cannot be the name of a namespace", "ml-team"),
        (("render", "--image", IMAGE, "--size", "much"), "is not an amount of memory", "2Gi"),
        (("render", "--image", IMAGE, "--size", "0"), "holds nothing", "10Gi"),
        (("render", "--image", IMAGE, "--store", "models/a"), "is no place in object storage", "s3://"),
        (("render", "--image", IMAGE, "--store-secret", "s3"), "the store is on a volume", "--store s3://"),
        (
            ("render", "--image", IMAGE, "--store", "s3://models", "--store-identity", "me@acme"),
            "is no identity",
            "arn:aws:iam",
        ),
        (("install", "--image", "fairway:latest"), "not named by its digest", "sha256"),
        (("install", "--image", IMAGE, "--wait", "soon"), "is not a duration", "10m"),
        (("install", "--registry", "r.example"), "no kubeconfig", "KUBECONFIG"),
        (("uninstall", "--yes"), "no kubeconfig", "KUBECONFIG"),
    ],
)
def test_what_cannot_work_is_refused_before_a_cluster_is_asked(
    words: tuple[str, ...], said: str, hint: str, tmp_path: Path
) -> None:
    done = fairway(*words, home=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_in_object_storage_is_named_and_its_keys_are_not(tmp_path: Path) -> None:
    words = ("render", "--image", IMAGE, "--store", "s3://models/team?region=eu-west-1", "--size", "8Gi")
    done = fairway(*words, "--store-secret", "bucket-keys", home=tmp_path)
    objects = list(yaml.safe_load_all(done.stdout))
    install = yaml.safe_load(objects[0]["data"]["install.json"])
    assert (install["store"], install["cache"]) == ("s3://models/team?region=eu-west-1", 4 * 2**30)
    (container,) = objects[-1]["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "bucket-keys"}}]
    assert {one["kind"] for one in objects}.isdisjoint({"Secret"})


def test_a_key_in_the_place_of_a_store_is_refused_and_not_repeated(tmp_path: Path) -> None:
    for place in ("s3://AKIAX:hidden-key@models", "s3://models?secret_access_key=hidden-key"):
        done = fairway("render", "--image", IMAGE, "--store", place, home=tmp_path)
        assert done.returncode == 2
        assert "hidden-key" not in done.stderr + done.stdout
        assert "--store-secret" in done.stderr
