"""What an installation of the core brings, counted and weighed from what is installed here."""

from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def gather(name: str, seen: dict[str, Distribution]) -> None:
    """A distribution and all that it cannot do without here."""
    seen[name] = found = distribution(name)
    for line in found.requires or ():
        wanted = Requirement(line)
        needed = canonicalize_name(wanted.name)
        if needed not in seen and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            gather(needed, seen)


def weight(found: Distribution) -> int:
    """Bytes of its files, without compiled ones."""
    paths = [Path(str(found.locate_file(file))) for file in found.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def test_the_core_brings_few_packages_and_few_megabytes() -> None:
    seen: dict[str, Distribution] = {}
    gather("fairway-ml", seen)
    own = sum(path.stat().st_size for path in (Path(__file__).parents[2] / "src").rglob("*.py"))
    assert {"click", "msgspec", "uvicorn", "uvloop"} <= set(seen)
    assert len(seen) <= 24
    assert 5e6 < own + sum(map(weight, seen.values())) <= 28e6
