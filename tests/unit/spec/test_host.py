"""A host's setup as the words of a command line."""

import pytest

from fairway.spec.host import LINE, HostSetup, ProjectCode, StorePlace

CODES = [
    ProjectCode("/srv/shop/flow.py", "shop.flow"),
    ProjectCode("/srv/a file.py"),
    ProjectCode(pickled="/tmp/pipeline"),
]


@pytest.mark.parametrize("code", CODES, ids=["module", "file", "notebook"])
@pytest.mark.parametrize("foreign", [False, True], ids=["own", "foreign"])
def test_a_setup_is_read_as_it_was_written(code: ProjectCode, foreign: bool) -> None:
    written = HostSetup(StorePlace("/srv/.fairway"), code, foreign=foreign)
    line, read = HostSetup.from_words(written.words())
    assert (line, read.store.address, read.foreign) == (LINE, "/srv/.fairway", foreign)
    assert (read.code.file, read.code.module, read.code.pickled) == (code.file, code.module, code.pickled)


def test_the_socket_may_be_at_another_descriptor() -> None:
    setup = HostSetup(StorePlace("/srv/.fairway"), ProjectCode("/srv/flow.py"))
    assert HostSetup.from_words(setup.words(7))[0] == 7
