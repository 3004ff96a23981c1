"""Packages of models that a person signs with an SSH key, and that others take only from those whom they trust."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project

TEXT = """
from sklearn.linear_model import LogisticRegression

@fw.task
def train() -> LogisticRegression:
    rows = [[float(n), float(n % 3)] for n in range(40)]
    return LogisticRegression().fit(rows, [int(n > 20) for n in range(40)])

@fw.pipeline
def main():
    fw.register("churn", train(), sample=[[1.0, 2.0], [30.0, 1.0]])
"""

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")


def key(folder: Path, name: str) -> Path:
    """A new key without a passphrase."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


def signers(folder: Path, name: str, *keys: Path, options: str = "") -> Path:
    """A file of allowed signers, each named after the file of the key."""
    path = folder / name
    lines = [f"{one.name}@example.org {options} {one.with_suffix('.pub').read_text()}" for one in keys]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a registered model, and the keys of ana and bo beside it."""
    made = Project(tmp_path_factory.mktemp("maker"))
    made.write(TEXT)
    made.fairway("run", "project.py", "--quiet")
    key(made.folder, "ana")
    key(made.folder, "bo")
    made.fairway("models", "export", "churn:1", "plain")
    done = made.fairway("models", "export", "churn:1", "signed", "--sign", "ana")
    assert "is written to signed, signed, sha256" in done.stderr
    return made


@pytest.fixture
def other(tmp_path: Path) -> Project:
    """An empty project elsewhere."""
    made = Project(tmp_path)
    (made.folder / "pyproject.toml").write_text("")
    return made


def copied(maker: Project, name: str, other: Project) -> Path:
    target = other.folder / f"taken-{name}"
    shutil.copytree(maker.folder / name, target)
    return target


def test_a_signed_package_is_taken_from_a_signer_who_is_trusted(maker: Project, other: Project) -> None:
    trusted = signers(maker.folder, "both", maker.folder / "bo", maker.folder / "ana")
    done = other.fairway("models", "import", str(maker.folder / "signed"), "--trust", str(trusted))
    assert "the package is signed by ana@example.org" in done.stderr
    assert "signed by ana@example.org" in other.fairway("models", "show", "churn:1").stdout


def test_the_signature_is_one_that_ssh_itself_accepts(maker: Project) -> None:
    trusted = signers(maker.folder, "only-ana", maker.folder / "ana")
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", str(trusted), "-I", "ana@example.org", "-n", "fairway-model",
         "-s", "signed/package.json.sig"],
        cwd=maker.folder, input=(maker.folder / "signed" / "package.json").read_bytes(), check=True, capture_output=True,
    )  # fmt: skip


def test_without_trust_a_package_is_taken_as_ever_and_that_is_said(maker: Project, other: Project) -> None:
    assert (
        "the package is not signed" in other.fairway("models", "import", str(maker.folder / "plain")).stderr
    )
    said = other.fairway("models", "import", str(maker.folder / "signed")).stderr
    assert "the signature of the package is not checked" in said
    assert "signed by" not in other.fairway("models", "show", "churn:2").stdout


def unsigned(maker: Project, other: Project) -> tuple[Path, Path]:
    return copied(maker, "plain", other), signers(other.folder, "trusted", maker.folder / "ana")


def signed_by_somebody_else(maker: Project, other: Project) -> tuple[Path, Path]:
    return copied(maker, "signed", other), signers(other.folder, "trusted", maker.folder / "bo")


def signed_for_another_purpose(maker: Project, other: Project) -> tuple[Path, Path]:
    package = copied(maker, "plain", other)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(maker.folder / "ana"), "package.json"]
    subprocess.run(command, cwd=package, check=True, capture_output=True)
    return package, signers(other.folder, "trusted", maker.folder / "ana")


def with_a_key_for_another_purpose(maker: Project, other: Project) -> tuple[Path, Path]:
    trusted = signers(other.folder, "trusted", maker.folder / "ana", options='namespaces="git"')
    return copied(maker, "signed", other), trusted


def with_a_key_that_has_expired(maker: Project, other: Project) -> tuple[Path, Path]:
    trusted = signers(other.folder, "trusted", maker.folder / "ana", options='valid-before="20200101"')
    return copied(maker, "signed", other), trusted


def with_the_signature_of_another_package(maker: Project, other: Project) -> tuple[Path, Path]:
    package = copied(maker, "signed", other)
    listed = package / "package.json"
    # Whoever changes the package makes the list and its digest anew, and cannot make the signature anew.
    listed.write_bytes(listed.read_bytes().replace(b'"version": 1', b'"version": 2'))
    done = subprocess.run(["sha256sum", str(listed)], capture_output=True, text=True, check=True)
    (package / "package.sha256").write_text(done.stdout.split()[0] + "\n")
    return package, signers(other.folder, "trusted", maker.folder / "ana")


def with_a_changed_model(maker: Project, other: Project) -> tuple[Path, Path]:
    package = copied(maker, "signed", other)
    content = max((package / "content").iterdir(), key=lambda path: path.stat().st_size)
    content.write_bytes(content.read_bytes()[:-1] + b"?")
    return package, signers(other.folder, "trusted", maker.folder / "ana")


def with_a_signature_that_is_none(maker: Project, other: Project) -> tuple[Path, Path]:
    package = copied(maker, "signed", other)
    (package / "package.json.sig").write_text("ana was here\n")
    return package, signers(other.folder, "trusted", maker.folder / "ana")


def with_a_signature_that_is_a_link(maker: Project, other: Project) -> tuple[Path, Path]:
    package = copied(maker, "signed", other)
    (package / "package.json.sig").unlink()
    (package / "package.json.sig").symlink_to(maker.folder / "signed" / "package.json.sig")
    return package, signers(other.folder, "trusted", maker.folder / "ana")


def with_nobody_trusted(maker: Project, other: Project) -> tuple[Path, Path]:
    return copied(maker, "signed", other), signers(other.folder, "trusted")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (unsigned, "is not signed"),
        (signed_by_somebody_else, "none of the signers in"),
        (signed_for_another_purpose, "the signature does not hold"),
        (with_a_key_for_another_purpose, "is not taken"),
        (with_a_key_that_has_expired, "is not taken"),
        (with_the_signature_of_another_package, "the signature does not hold"),
        (with_a_changed_model, "was changed"),
        (with_a_signature_that_is_none, "is not taken"),
        (with_a_signature_that_is_a_link, "is no signature"),
        (with_nobody_trusted, "is not taken"),
    ],
)
def test_with_trust_everything_else_is_refused_with_a_hint(
    maker: Project, other: Project, case: Callable[[Project, Project], tuple[Path, Path]], said: str
) -> None:
    package, trusted = case(maker, other)
    refused = other.fairway("models", "import", str(package), "--trust", str(trusted), expect=None)
    assert refused.returncode != 0
    assert said in refused.stderr
    assert "hint: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (other.folder / ".fairway" / "fairway.db").exists()


def test_a_file_of_signers_that_is_not_there_is_named(maker: Project, other: Project) -> None:
    refused = other.fairway("models", "import", str(maker.folder / "signed"), "--trust", "nowhere", expect=2)
    assert "there is no file nowhere of allowed signers" in refused.stderr


def test_no_package_is_left_when_it_could_not_be_signed(maker: Project) -> None:
    (maker.folder / "broken").write_text("no key\n")
    (maker.folder / "broken").chmod(0o600)
    refused = maker.fairway("models", "export", "churn:1", "unsigned", "--sign", "broken", expect=1)
    assert "ssh-keygen did not sign with broken" in refused.stderr
    assert not (maker.folder / "unsigned").exists()
    assert (
        "there is no key nowhere"
        in maker.fairway("models", "export", "churn:1", "unsigned", "--sign", "nowhere", expect=2).stderr
    )
    assert not (maker.folder / "unsigned").exists()


def test_a_machine_without_ssh_keygen_says_so(maker: Project, other: Project, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for project, words in (
        (maker, ["export", "churn:1", str(tmp_path / "new"), "--sign", "ana"]),
        (
            other,
            [
                "import",
                str(maker.folder / "signed"),
                "--trust",
                str(signers(tmp_path, "a", maker.folder / "ana")),
            ],
        ),
    ):
        before = project.environment
        project.environment = {**before, "PATH": str(tmp_path / "bin")}
        refused = project.fairway("models", *words, expect=1)
        project.environment = before
        assert "signatures need ssh-keygen, and this machine does not have it" in refused.stderr
        assert "hint: it comes with OpenSSH" in refused.stderr


WRITES_DOWN = """
import os, sys

LOG = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def told(event, args):
    if event == "open":
        os.write(LOG, f"{{args[0]}}\\n".encode())

sys.addaudithook(told)
"""
"""A module that makes a Python process write down every file that it opens."""


def test_no_key_is_opened_by_fairway_itself(maker: Project) -> None:
    key(maker.folder, "sealed")
    log, site = maker.folder / "opened", maker.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WRITES_DOWN.format(log=str(log)))
    before = maker.environment
    maker.environment = {**before, "PYTHONPATH": os.pathsep.join([str(site), before.get("PYTHONPATH", "")])}
    maker.fairway("models", "export", "churn:1", "traced", "--sign", "sealed")
    maker.environment = before
    opened = log.read_text().splitlines()
    assert [path for path in opened if path.endswith("traced/package.json")]
    assert [path for path in opened if path.endswith("sealed")] == []
