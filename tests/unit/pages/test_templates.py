"""Every template can be loaded, and every macro that one takes from another is there."""

import re
from pathlib import Path

import pytest

from fairway import pages

FOLDER = Path(pages.__file__).parent / "templates"
TAKEN = re.compile(r'{%-? from "([^"]+)" import ([^%]+?) (?:with context )?-?%}')


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.html")), ids=lambda path: path.name)
def test_a_template_takes_only_macros_that_are_there(path: Path) -> None:
    for other, names in TAKEN.findall(path.read_text("utf-8")):
        there = set(re.findall(r"{%-? macro (\w+)", (FOLDER / other).read_text("utf-8")))
        wanted = {name.split(" as ")[0].strip() for name in names.split(",")}
        assert wanted <= there
