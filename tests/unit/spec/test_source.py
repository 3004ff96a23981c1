"""The packages of a run in words, and as pinned requirements."""

from fairway.spec.source import GitState, Packages, package_changes, read_packages

TEXT = "3.11.7\nx86_64\nnumpy-2.1.0.dist-info\nscikit_learn-1.7.2.dist-info\nlocal-1.0+cpu.dist-info"


def test_a_list_is_read_with_python_and_machine_first() -> None:
    found = read_packages(TEXT)
    assert (found.python, found.machine) == ("3.11.7", "x86_64")
    assert found.versions == {"numpy": "2.1.0", "scikit_learn": "1.7.2", "local": "1.0+cpu"}
    assert found.requirements(("local",)) == ("numpy==2.1.0", "scikit-learn==1.7.2")
    assert read_packages("") == Packages()
    assert read_packages("3.12.1\naarch64").versions == {}


def test_changes_are_named_one_by_one() -> None:
    other = read_packages(
        TEXT.replace("3.11.7", "3.12.1").replace("numpy-2.1.0", "numpy-2.2.0").replace("local", "newer")
    )
    assert package_changes(read_packages(TEXT), other) == [
        "Python 3.11.7 → 3.12.1",
        "local 1.0+cpu is gone",
        "newer 1.0+cpu is new",
        "numpy 2.1.0 → 2.2.0",
    ]
    assert package_changes(other, other) == []


def test_the_state_of_a_repository_reads_well_without_a_branch_or_commit() -> None:
    assert str(GitState(commit="a" * 40, branch="main")) == f"main {'a' * 12}"
    assert str(GitState(commit="a" * 40, dirty=True)) == f"no branch {'a' * 12}, with changes"
    assert str(GitState(branch="main")) == "main without a commit"
