"""Modules that a project needs and this machine lacks are named before anything travels."""

from pathlib import Path

import pytest

from fairway.local.bundling import Bundle, collect
from fairway.local.digests import DigestCache
from fairway.spec.errors import UsageError
from fairway.wiring.lacking import require_here


def bundle(folder: Path, text: str) -> Bundle:
    # A file with relative imports belongs to a package, whose parent is sent as well.
    own = folder / "own"
    own.mkdir(exist_ok=True)
    (own / "flow.py").write_text(text)
    return collect(str(own / "flow.py"), "", DigestCache(str(folder / ".digests.json")))


def test_all_modules_that_are_not_here_are_named_with_the_way_to_them(tmp_path: Path) -> None:
    text = "import json\nimport no_such_a\nfrom no_such_b.part import x\nimport no_such_a.more\n"
    with pytest.raises(UsageError, match=r"flow\.py imports no_such_a and no_such_b, which") as raised:
        require_here(bundle(tmp_path, text))
    assert "`pip install no_such_a no_such_b`" in raised.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import no_such_a\nexcept ImportError:\n    no_such_a = None\n",
        "if False:\n    import no_such_a\n",
        "def step():\n    import no_such_a\n",
        "from . import no_such_a\n",
        "import fairway, msgspec, asyncio\n",
        "import no_such_a, (",
    ],
)
def test_a_module_that_may_be_missed_is_no_reason_to_refuse(tmp_path: Path, text: str) -> None:
    require_here(bundle(tmp_path, text))


def test_modules_of_the_project_itself_are_there(tmp_path: Path) -> None:
    (tmp_path / "own/src/deep").mkdir(parents=True)
    (tmp_path / "own/beside.py").write_text("")
    (tmp_path / "own/src/deep/inner.py").write_text("")
    require_here(bundle(tmp_path, "import beside\nimport deep.inner\n"))
